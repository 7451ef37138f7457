/** SHA-256 in the forms that headers and links use. Browser-safe. */
import { sha256, sha256Hex } from '../domain/hash/sha256.ts';

export { sha256Hex };

/** Value of the `Repr-Digest` header for `bytes` (RFC 9530). */
export function reprDigest(bytes: Uint8Array): string {
  const binary = Array.from(sha256(bytes), (byte) => String.fromCharCode(byte)).join('');
  return `sha-256=:${btoa(binary)}:`;
}
