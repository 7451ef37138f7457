/** A key in memory is refused everywhere within a second of its revocation. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { asOrgId } from '../../domain/org.ts';
import { openLog, until, type LogFixture } from '../../test/support/log.ts';
import { createPool, type Pool } from '../connect.ts';
import { createKeyCache, type KeyCache } from './keyCache.ts';
import { createKeyStore, type KeyStore } from './keyStore.ts';

const orgId = asOrgId('org_local');
let log: LogFixture;
let pool: Pool;
let store: KeyStore;
let open: KeyCache[] = [];
beforeAll(async () => {
  log = await openLog();
  pool = createPool({ connectionString: log.appUrl, max: 4 });
  store = createKeyStore(pool);
});
afterEach(async () => {
  await Promise.all(open.map((one) => one.close()));
  open = [];
  await until('their sessions are gone', async () => (await listeners()) === 0);
});
afterAll(async () => {
  await pool.end();
  await log.close();
});

/** Counts the questions that reach Postgres. */
function cached(listensAt = log.appUrl): { readonly keys: KeyCache; asked(): number } {
  let asked = 0;
  const counted: KeyStore = {
    ...store,
    findBySecret(secret) {
      asked += 1;
      return store.findBySecret(secret);
    },
  };
  const keys = createKeyCache(counted, listensAt);
  open.push(keys);
  return { keys, asked: () => asked };
}
const newKey = () => store.createKey({ name: 'k', orgId, roles: ['viewer'], createdBy: 'test', kind: 'test' });
const listeners = async () =>
  (
    await log.admin.query<{ n: number }>(
      `SELECT count(*)::int AS n FROM pg_stat_activity WHERE application_name = 'edgeml listen keys'`,
    )
  ).rows[0]!.n;
/** Asks until two answers in a row come without Postgres. */
async function warmed({ keys, asked }: ReturnType<typeof cached>, secret: string): Promise<void> {
  await until('the key is in memory', async () => {
    await keys.findBySecret(secret);
    const before = asked();
    await keys.findBySecret(secret);
    return asked() === before;
  });
}

describe('a key in memory', () => {
  it('is answered without Postgres, and is what Postgres has', async () => {
    const { key, secret } = await newKey();
    const cache = cached();
    await warmed(cache, secret);
    expect(await cache.keys.findBySecret(secret)).toMatchObject({ id: key.id, orgId, roles: ['viewer'] });
    expect(await cache.keys.findBySecret(`${secret}x`)).toBeUndefined();
  });

  it('is refused by another process as soon as it hears of the revocation', async () => {
    const { key, secret } = await newKey();
    const one = cached();
    await warmed(one, secret);
    await store.revoke(orgId, key.id);
    await until('it is refused', async () => (await one.keys.findBySecret(secret)) === undefined, 1_000);
  });

  it('is refused within a second by one that hears nothing', async () => {
    const { key, secret } = await newKey();
    const deaf = cached();
    await warmed(deaf, secret);
    // No notification: as if NOTIFY were lost.
    await log.admin.query(`UPDATE ops.api_keys SET revoked_at = clock_timestamp() WHERE id = $1`, [key.id]);
    await until('it is refused', async () => (await deaf.keys.findBySecret(secret)) === undefined, 1_000);
  });

  it('is asked of Postgres again where the look for revocations fails', async () => {
    const { secret } = await newKey();
    const blind = cached('postgres://nobody@127.0.0.1:1/none');
    for (let i = 0; i < 5; i += 1) expect(await blind.keys.findBySecret(secret)).toBeDefined();
    expect(blind.asked()).toBe(5);
  });

  it('is not kept where it is revoked while it is read', async () => {
    const { key, secret } = await newKey();
    let release: () => void = () => undefined;
    const late: KeyStore = {
      ...store,
      async findBySecret(text) {
        const found = await store.findBySecret(text);
        await new Promise<void>((resolve) => (release = resolve));
        return found;
      },
    };
    const keys = createKeyCache(late, log.appUrl);
    open.push(keys);
    await until('it listens', async () => (await listeners()) === 1);
    const answer = keys.findBySecret(secret);
    await store.revoke(orgId, key.id);
    await new Promise((resolve) => setTimeout(resolve, 600)); // a look
    release();
    await answer; // it was good when it was read
    const next = keys.findBySecret(secret);
    release();
    await new Promise((resolve) => setTimeout(resolve, 20));
    release();
    expect(await next).toBeUndefined();
  });
});
