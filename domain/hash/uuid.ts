/** Pure. Name-based UUIDs (RFC 9562, version 5), and version 7 from given time and random bytes. */
import { foldName } from '../names.ts';
import type { OrgId } from '../org.ts';
import { sha1 } from '@noble/hashes/legacy.js';
import { bytesToHex, hexToBytes, utf8ToBytes } from './sha256.ts';

function format(bytes: Uint8Array, version: number): string {
  const b = bytes.slice(0, 16);
  b[6] = (b[6]! & 0x0f) | (version << 4);
  b[8] = (b[8]! & 0x3f) | 0x80;
  const h = bytesToHex(b);
  return `${h.slice(0, 8)}-${h.slice(8, 12)}-${h.slice(12, 16)}-${h.slice(16, 20)}-${h.slice(20)}`;
}

/** UUID version 5 of `name` in `namespace` (a UUID). @source RFC 9562 section 5.5 */
export function uuidV5(namespace: string, name: string): string {
  const space = hexToBytes(namespace.replaceAll('-', ''));
  const text = utf8ToBytes(name);
  const input = new Uint8Array(16 + text.length);
  input.set(space);
  input.set(text, 16);
  return format(sha1(input), 5);
}

/**
 * UUID version 7. @source RFC 9562 section 5.7
 *
 * @param unixMs milliseconds since 1970
 * @param random 10 random bytes
 */
export function uuidV7(unixMs: number, random: Uint8Array): string {
  const bytes = new Uint8Array(16);
  let ms = unixMs;
  for (let i = 5; i >= 0; i -= 1) {
    bytes[i] = ms % 256;
    ms = Math.floor(ms / 256);
  }
  bytes.set(random.subarray(0, 10), 6);
  return format(bytes, 7);
}

/** The namespace of every name this product turns into an id. Fixed for ever: ids depend on it. */
const EDGEML = 'b2a4b3a0-5e0a-5f3c-9d43-6f0b8f1c7e21';

/** Namespace of one organisation. */
const orgNamespace = (orgId: OrgId) => uuidV5(EDGEML, `org:${orgId}`);

/** Model id: every spelling of a name is the same model (`foldName`), so `ensure_model` needs no table. */
export function modelIdOf(orgId: OrgId, name: string): string {
  return uuidV5(orgNamespace(orgId), `model:${foldName(name)}`);
}

/** Device id: a device that registers at every start keeps its id. */
export function deviceIdOf(orgId: OrgId, deviceIdentifier: string): string {
  return uuidV5(orgNamespace(orgId), `device:${deviceIdentifier}`);
}

/** Federation id: every spelling of a name is the same federation. */
export function federationIdOf(orgId: OrgId, name: string): string {
  return uuidV5(orgNamespace(orgId), `federation:${foldName(name)}`);
}
