/** Keys are found by their secret, and can be withdrawn. */
import { asOrgId } from '../../domain/org.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openLog, type LogFixture } from '../../test/support/log.ts';
import { createPool, type Pool } from '../connect.ts';
import { isWellFormed, keyHash } from './keyFormat.ts';
import { createKeyStore, type KeyStore } from './keyStore.ts';

let log: LogFixture;
let pool: Pool;
let keys: KeyStore;
beforeAll(async () => {
  log = await openLog();
  pool = createPool({ connectionString: log.appUrl, max: 4 });
  keys = createKeyStore(pool);
});
afterAll(async () => {
  await pool.end();
  await log.close();
});
const [A, B, LOCAL] = [asOrgId('org_a'), asOrgId('org_b'), asOrgId('org_local')];
const wanted = {
  name: 'phones',
  orgId: A,
  roles: ['device', 'monitor'],
  createdBy: 'key_x',
  kind: 'live',
} as const;

describe('API keys', () => {
  it('are found by their secret, which is not stored', async () => {
    const { key, secret } = await keys.createKey(wanted);
    expect(isWellFormed(secret)).toBe(true);
    expect(key).toMatchObject({
      name: 'phones',
      orgId: A,
      roles: ['device', 'monitor'],
      last4: secret.slice(-4),
      revokedAt: null,
    });
    expect(await keys.findBySecret(secret)).toEqual(key);
    expect(await keys.findBySecret(`${secret.slice(0, -1)}_`)).toBeUndefined();
    const { rows } = await log.admin.query('SELECT k::text AS row FROM ops.api_keys k');
    expect(rows.some((r) => r.row.includes(secret))).toBe(false);
    expect(rows.some((r) => r.row.includes(keyHash(secret).toString('hex')))).toBe(true);
  });

  it('note their use, once a minute at most', async () => {
    const { key, secret } = await keys.createKey(wanted);
    const lastUse = async () => (await keys.list(A, { limit: 100 })).find((k) => k.id === key.id)!.lastUsedAt;
    expect(await lastUse()).toBeNull();
    await keys.findBySecret(secret);
    const first = await lastUse();
    expect(first).toBeInstanceOf(Date);
    await keys.findBySecret(secret);
    expect(await lastUse()).toEqual(first);
    await log.admin.query(`UPDATE ops.api_keys SET last_used_at = last_used_at - interval '2 minutes' WHERE id = $1`, [
      key.id,
    ]);
    await keys.findBySecret(secret);
    expect((await lastUse())!.getTime()).toBeGreaterThanOrEqual(first!.getTime());
  });

  it('are revoked for good, by their own organisation only', async () => {
    const { key, secret } = await keys.createKey(wanted);
    await expect(keys.revoke(B, key.id)).rejects.toMatchObject({ code: 'key_not_found' });
    const revoked = await keys.revoke(A, key.id);
    expect(revoked.revokedAt).toBeInstanceOf(Date);
    expect(await keys.revoke(A, key.id)).toEqual(revoked);
    expect(await keys.findBySecret(secret)).toBeUndefined();
    expect((await keys.list(A, { limit: 100 })).map((k) => k.id)).toContain(key.id);
    expect(await keys.list(B, { limit: 100 })).toEqual([]);
  });

  it('bootstrap makes one admin, however many processes start, and never brings a revoked one back', async () => {
    const secret = 'an imported key of at least thirty-two characters'.replaceAll(' ', '-');
    const all = await Promise.all(Array.from({ length: 5 }, () => keys.ensureBootstrap(secret, LOCAL)));
    expect(new Set(all.map((k) => k.id)).size).toBe(1);
    expect(all[0]).toMatchObject({ roles: ['admin', 'instance'], orgId: 'org_local' });
    await keys.revoke(LOCAL, all[0]!.id);
    await keys.ensureBootstrap(secret, LOCAL);
    expect(await keys.findBySecret(secret)).toBeUndefined();
    await expect(keys.ensureBootstrap('short', LOCAL)).rejects.toMatchObject({ code: 'invalid_input' });
  });
});
