/**
 * Keys in memory, found by the hash of their secret. A revocation is heard on NOTIFY, and looked for twice a second in case that is silent.
 * While the look fails every question goes to Postgres, so that no revoked key is admitted for longer than a second.
 */
import { LRUCache } from 'lru-cache';
import { openSession, type Session } from '../connect.ts';
import { listen } from '../listen.ts';
import { keyHash } from './keyFormat.ts';
import { KEY_REVOKED, NOTE_USE_MS, type ApiKey, type KeyStore } from './keyStore.ts';

const MOST = 10_000;
const LOOK_MS = 400;
const TRUSTED_MS = 1_000;
/** A revocation is committed a moment after its time was read. */
const OVERLAP_MS = 10_000;

export interface KeyCache extends KeyStore {
  /** Ends the session that listens. Never throws. */
  close(): Promise<void>;
}

interface Held {
  readonly key: ApiKey;
  /** By our clock: the use of a key is noted once a minute. */
  readonly notedAt: number;
}

/** Connects by itself, again and again. The caller closes it. */
export function createKeyCache(keys: KeyStore, connectionString: string): KeyCache {
  const held = new LRUCache<string, Held>({ max: MOST });
  /** A key that is read while another process revokes it must not be kept. */
  let revocations = 0;
  let trustedUntil = Number.NEGATIVE_INFINITY;
  let since: Date | null = null;
  let session: Session | undefined;
  let looking: Promise<void> | undefined;
  let isClosed = false;

  function forget(id: string): void {
    revocations += 1;
    for (const [hash, { key }] of held.entries()) if (key.id === id) held.delete(hash);
  }

  async function listening(): Promise<Session> {
    const opened = await openSession(connectionString, 'listen keys');
    opened.gone.addEventListener('abort', () => (session = undefined));
    await listen(opened, KEY_REVOKED, forget);
    return opened;
  }

  async function look(): Promise<void> {
    session ??= await listening();
    const asked = performance.now();
    const { rows } = await session.client.query<{ now: Date; ids: string[] | null }>(
      `SELECT clock_timestamp() AS now, (SELECT array_agg(id) FROM ops.api_keys WHERE revoked_at > $1::timestamptz) AS ids`,
      [since && new Date(since.getTime() - OVERLAP_MS)],
    );
    const { now, ids } = rows[0]!;
    if (since) for (const id of ids ?? []) forget(id);
    else held.clear(); // before the first look nothing was looked for
    since = now;
    trustedUntil = asked + TRUSTED_MS;
  }
  // Where a look fails, `trustedUntil` passes.
  const tick = () =>
    void (looking ??= look()
      .catch(() => undefined)
      .finally(() => (looking = undefined)));
  tick();
  const timer = setInterval(tick, LOOK_MS);

  return {
    ...keys,
    async findBySecret(secret) {
      const hash = keyHash(secret).toString('base64');
      const known = performance.now() < trustedUntil ? held.get(hash) : undefined;
      if (known && Date.now() - known.notedAt < NOTE_USE_MS) return known.key;
      const before = revocations;
      const key = await keys.findBySecret(secret);
      if (!key) held.delete(hash);
      else if (before === revocations && !isClosed) held.set(hash, { key, notedAt: Date.now() });
      return key;
    },
    async close() {
      isClosed = true;
      clearInterval(timer);
      await looking;
      await session?.end();
    },
  };
}
