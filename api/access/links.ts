/** Signed links to blobs: whoever holds one may fetch these bytes until it expires, and nothing else. */
import type { Sha256 } from '../../domain/brands.ts';
import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';
import { LifecycleError } from '../../domain/errors.ts';

export const LINK_TTL_MS = 15 * 60_000;
const KEY_ID = '1';

export interface Links {
  /** Absolute URL of a blob for `GET` and `HEAD`, good for 15 minutes from `now` (Unix ms). */
  sign(sha256: Sha256, name: string, now: number): { readonly url: string; readonly expiresAt: Date };
  /** @throws LifecycleError `link_expired`, `link_invalid` */
  verify(sha256: Sha256, query: SignedQuery, now: number): void;
}

export interface SignedQuery {
  readonly exp?: string | undefined;
  readonly name?: string | undefined;
  readonly kid?: string | undefined;
  readonly sig?: string | undefined;
}

/**
 * @param secret    bytes of the secret file; the signing key is derived from it by HKDF under a label of its own
 * @param publicUrl without a trailing slash
 */
export function createLinks(secret: Uint8Array, publicUrl: string): Links {
  const key = Buffer.from(hkdfSync('sha256', secret, '', 'edgeml signed links v1', 32));
  const mac = (sha256: Sha256, name: string, exp: string) =>
    createHmac('sha256', key)
      .update(JSON.stringify(['GET', sha256, name, exp, KEY_ID]))
      .digest();
  return {
    sign(sha256, name, now) {
      const exp = String(Math.floor((now + LINK_TTL_MS) / 1_000));
      const query = new URLSearchParams({ exp, name, kid: KEY_ID, sig: mac(sha256, name, exp).toString('base64url') });
      return { url: `${publicUrl}/blobs/${sha256}?${query}`, expiresAt: new Date(Number(exp) * 1_000) };
    },
    verify(sha256, { exp = '', name = '', kid, sig = '' }, now) {
      const given = Buffer.from(sig, 'base64url');
      const expected = mac(sha256, name, exp);
      const isOurs = kid === KEY_ID && given.length === expected.length && timingSafeEqual(given, expected);
      if (!isOurs) throw new LifecycleError('link_invalid', 'The link is not as it was issued. Ask for a new one.');
      if (Number(exp) * 1_000 < now) {
        const at = new Date(Number(exp) * 1_000).toISOString();
        throw new LifecycleError('link_expired', `The link expired at ${at}. Ask for a new one.`);
      }
    },
  };
}
