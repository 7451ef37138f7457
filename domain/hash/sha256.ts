/** Pure. SHA-256 that runs anywhere: Node, browser, the Temporal sandbox. Hot loops take a {@link Hash} as an argument. */
import { sha256 as noble } from '@noble/hashes/sha2.js';
import { bytesToHex, hexToBytes, utf8ToBytes } from '@noble/hashes/utils.js';

/** A one-shot 32-byte digest; `store/` and `audit/` pass `node:crypto`'s, which is faster. */
export type Hash = (bytes: Uint8Array) => Uint8Array;

/** SHA-256 of `bytes`, 32 bytes. @source FIPS 180-4 */
export const sha256: Hash = (bytes) => noble(bytes);

/** Lower-case hex SHA-256 of bytes, or of a string's UTF-8. */
export function sha256Hex(input: Uint8Array | string): string {
  return bytesToHex(noble(typeof input === 'string' ? utf8ToBytes(input) : input));
}

export { bytesToHex, hexToBytes, utf8ToBytes };
