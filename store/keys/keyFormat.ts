/** What an API key looks like: `ek_live_` or `ek_test_`, 32 random base62 digits, 6 digits of CRC-32 over what precedes. */
import { hash, randomInt } from 'node:crypto';
import { crc32 } from 'node:zlib';

const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

/** `live` keys work anywhere, `test` keys on loopback only. */
export type KeyKind = 'live' | 'test';

/** `length` random base62 digits, unbiased. */
export function randomDigits(length: number): string {
  return Array.from({ length }, () => DIGITS[randomInt(62)]!).join('');
}

function checksum(text: string): string {
  let rest = crc32(text);
  let digits = '';
  for (let i = 0; i < 6; i += 1) {
    digits = DIGITS[rest % 62]! + digits;
    rest = Math.floor(rest / 62);
  }
  return digits;
}

/** A new secret. It is shown once; only {@link keyHash} of it is stored. */
export function newSecret(kind: KeyKind): string {
  const body = `ek_${kind}_${randomDigits(32)}`;
  return body + checksum(body);
}

/** Ours, complete and without a typo. Says nothing about whether it is known; imported keys need not have this form. */
export function isWellFormed(secret: string): boolean {
  return /^ek_(live|test)_[0-9A-Za-z]{38}$/.test(secret) && checksum(secret.slice(0, -6)) === secret.slice(-6);
}

/** A key that may be used on loopback only. */
export function isTestKey(secret: string): boolean {
  return secret.startsWith('ek_test_');
}

/** SHA-256 of the whole string: how a key is found, and all that is kept of it. */
export function keyHash(secret: string): Buffer {
  return hash('sha256', secret, 'buffer');
}
