/** Cursors of lists as they leave the API: nobody can make or edit one, so what comes back is what a list wrote. */
import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';
import { LifecycleError } from '../../domain/errors.ts';

export interface Cursors {
  seal(cursor: string): string;
  /** @throws LifecycleError `bad_cursor` for a text that `seal` did not make with this secret */
  open(sealed: string): string;
}

/** @param secret bytes of the secret file; the key is derived from it by HKDF under a label of its own */
export function createCursors(secret: Uint8Array): Cursors {
  const key = Buffer.from(hkdfSync('sha256', secret, '', 'edgeml list cursors v1', 32));
  const macOf = (cursor: string) => createHmac('sha256', key).update(cursor).digest();
  return {
    seal: (cursor) => `${cursor}.${macOf(cursor).toString('base64url')}`,
    open(sealed) {
      const [cursor = '', mac = '', ...more] = sealed.split('.');
      const [given, expected] = [Buffer.from(mac, 'base64url'), macOf(cursor)];
      const isOurs = more.length === 0 && given.length === expected.length && timingSafeEqual(given, expected);
      if (isOurs) return cursor;
      throw new LifecycleError('bad_cursor', 'The cursor is not one of ours.');
    },
  };
}
