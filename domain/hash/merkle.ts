/** Pure. The Merkle tree hash of RFC 6962 section 2.1. */
import { sha256, type Hash } from './sha256.ts';

function tagged(tag: number, parts: readonly Uint8Array[], hash: Hash): Uint8Array {
  const bytes = new Uint8Array(1 + parts.reduce((n, p) => n + p.length, 0));
  bytes[0] = tag;
  let at = 1;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return hash(bytes);
}

/** Leaf hash: SHA-256(0x00 ‖ entry). */
export function leafHash(entry: Uint8Array, hash: Hash = sha256): Uint8Array {
  return tagged(0, [entry], hash);
}

/** Inner node: SHA-256(0x01 ‖ left ‖ right). */
export function nodeHash(left: Uint8Array, right: Uint8Array, hash: Hash = sha256): Uint8Array {
  return tagged(1, [left, right], hash);
}

/**
 * A tree that grows one leaf at a time and keeps one hash per complete subtree: O(log n) memory, O(1) amortised work.
 * `root()` may be asked at any size. The root of the empty tree is SHA-256 of nothing.
 */
export function growingTree(hash: Hash = sha256) {
  const peaks: Uint8Array[] = []; // peaks[i]: root of a complete subtree; sizes fall from left to right
  let size = 0;
  return {
    get size() {
      return size;
    },
    add(leaf: Uint8Array): void {
      peaks.push(leaf);
      size += 1;
      for (let n = size; n % 2 === 0; n /= 2) {
        const right = peaks.pop()!;
        const left = peaks.pop()!;
        peaks.push(nodeHash(left, right, hash));
      }
    },
    root(): Uint8Array {
      if (peaks.length === 0) return hash(new Uint8Array(0));
      return peaks.reduceRight((right, left) => nodeHash(left, right, hash));
    },
  };
}

/** RFC 6962 root over leaf hashes, in order. */
export function merkleRoot(leaves: Iterable<Uint8Array>, hash: Hash = sha256): Uint8Array {
  const tree = growingTree(hash);
  for (const leaf of leaves) tree.add(leaf);
  return tree.root();
}
