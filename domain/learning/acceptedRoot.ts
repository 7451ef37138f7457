/** Pure. One hash over the updates a round accepted: who (by pseudonym), what, and with which weight. */
import { leafHash, merkleRoot } from '../hash/merkle.ts';
import { bytesToHex, hexToBytes, sha256, type Hash } from '../hash/sha256.ts';

export interface AcceptedUpdate {
  readonly updateSha: string;
  /** 16 bytes of HMAC-SHA256(run key, device id), as 32 hex digits. */
  readonly pseudonymHex: string;
  /** Whole, ≥ 0. */
  readonly weight: number;
}

/** update_sha (32) ‖ pseudonym (16) ‖ u64be(weight). */
function leafOf({ updateSha, pseudonymHex, weight }: AcceptedUpdate): Uint8Array {
  const leaf = new Uint8Array(56);
  leaf.set(hexToBytes(updateSha), 0);
  leaf.set(hexToBytes(pseudonymHex), 32);
  new DataView(leaf.buffer).setBigUint64(48, BigInt(weight));
  return leaf;
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < a.length; i += 1) if (a[i] !== b[i]) return a[i]! - b[i]!;
  return 0;
}

/**
 * Root and manifest order: leaves sorted bytewise, RFC 6962 tree hash over them.
 *
 * @returns `root` as hex; `updates` in the order of the leaves, which is the manifest's
 */
export function acceptedRoot<T extends AcceptedUpdate>(
  updates: readonly T[],
  hash: Hash = sha256,
): { readonly root: string; readonly updates: readonly T[] } {
  const sorted = updates
    .map((update) => ({ update, leaf: leafOf(update) }))
    .sort((a, b) => compareBytes(a.leaf, b.leaf));
  const root = merkleRoot(
    sorted.map(({ leaf }) => leafHash(leaf, hash)),
    hash,
  );
  return { root: bytesToHex(root), updates: sorted.map(({ update }) => update) };
}
