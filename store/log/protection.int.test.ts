/** Nobody changes a fact: not the app, not the owner, not a replica. */
import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openLog, request, type LogFixture } from '../../test/support/log.ts';

let log: LogFixture;
let app: pg.Client;
beforeAll(async () => {
  log = await openLog();
  app = await log.session();
  await log.store.append(request({ 'rollout-1': 'none' }));
});
afterAll(() => log.close());

const tables = { events: 'stream_version', log: 'sequenced_at' };
const changes = Object.entries(tables).flatMap(([table, column]) => [
  `UPDATE store.${table} SET ${column} = ${column}`,
  `UPDATE store.${table} SET ${column} = ${column} WHERE false`,
  `DELETE FROM store.${table}`,
  `TRUNCATE store.${table}`,
]);

async function asOwner(settings: string, run: () => Promise<unknown>): Promise<void> {
  await log.admin.query('BEGIN');
  try {
    await log.admin.query(settings);
    await run();
  } finally {
    await log.admin.query('ROLLBACK');
  }
}

describe('facts cannot be changed', () => {
  it.each(changes)('by the app: %s', async (sql) => {
    await expect(app.query(sql)).rejects.toMatchObject({ code: '42501' });
  });
  it.each(changes)('by the owner: %s', async (sql) => {
    await asOwner('SET LOCAL ROLE edgeml_owner', () =>
      expect(log.admin.query(sql)).rejects.toMatchObject({
        code: '42501',
        message: expect.stringContaining('append-only'),
      }),
    );
  });
  it.each(changes)('by a superuser who switches triggers off: %s', async (sql) => {
    await asOwner('SET LOCAL session_replication_role = replica', () =>
      expect(log.admin.query(sql)).rejects.toMatchObject({
        code: '42501',
        message: expect.stringContaining('append-only'),
      }),
    );
  });
  it('and are still there', async () => {
    expect((await log.admin.query('SELECT count(*)::int AS n FROM store.events')).rows[0].n).toBe(1);
  });
});

describe('grants', () => {
  it.each([
    `INSERT INTO store.log VALUES (0, 1, sha256(''), now())`,
    `INSERT INTO store.events (event_id) VALUES (gen_random_uuid())`,
    `UPDATE store.sequencer SET next_index = 0`,
    `DELETE FROM store.sequencer`,
    `UPDATE store.checkpoints SET note = 'x'`,
    `DELETE FROM store.checkpoints`,
    `DROP TABLE store.events`,
    `ALTER TABLE store.events DISABLE TRIGGER ALL`,
    `SET ROLE edgeml_owner`,
    `CREATE FUNCTION store.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'`,
  ])('the app may not: %s', async (sql) => {
    await expect(app.query(sql)).rejects.toMatchObject({ code: '42501' });
  });

  it('no function of ours is executable by everyone, also one made tomorrow', async () => {
    await log.admin.query('BEGIN');
    await log.admin.query('SET LOCAL ROLE edgeml_owner');
    await log.admin.query(`CREATE FUNCTION store.made_tomorrow() RETURNS int LANGUAGE sql AS 'SELECT 1'`);
    const { rows } = await log.admin.query(
      `SELECT p.oid::regprocedure::text AS f FROM pg_proc p, LATERAL aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
        WHERE p.pronamespace IN ('store'::regnamespace, 'ops'::regnamespace) AND a.grantee = 0 AND a.privilege_type = 'EXECUTE'`,
    );
    await log.admin.query('ROLLBACK');
    expect(rows).toEqual([]);
  });

  it('a stranger in the cluster can call nothing and read nothing', async () => {
    await asOwner('CREATE ROLE edgeml_test_stranger', async () => {
      await log.admin.query('SET LOCAL ROLE edgeml_test_stranger');
      await expect(log.admin.query('SELECT * FROM store.events')).rejects.toMatchObject({ code: '42501' });
    });
  });

  it('the app draws rollout ids, changes tables that the owner makes in ops, and makes schemas of its own', async () => {
    const { rows } = await app.query(`SELECT nextval('store.rollout_ids') AS id`);
    expect(Number(rows[0].id)).toBeGreaterThan(0);
    await log.admin.query('SET ROLE edgeml_owner');
    await log.admin.query('CREATE TABLE ops.made_tomorrow (n int)');
    await log.admin.query('RESET ROLE');
    await app.query('INSERT INTO ops.made_tomorrow VALUES (1)');
    await app.query('UPDATE ops.made_tomorrow SET n = 2');
    await app.query('DELETE FROM ops.made_tomorrow');
    await app.query('CREATE SCHEMA rm_test; CREATE TABLE rm_test.t (n int); DROP SCHEMA rm_test CASCADE');
  });

  it('cuts the app’s transactions short, since a long one holds the log back', async () => {
    const names = ['idle_in_transaction_session_timeout', 'statement_timeout', 'lock_timeout'];
    const { rows } = await app.query('SELECT name, setting FROM pg_settings WHERE name = ANY ($1)', [names]);
    expect(Object.fromEntries(rows.map((r) => [r.name, r.setting]))).toEqual({
      idle_in_transaction_session_timeout: '5000',
      statement_timeout: '10000',
      lock_timeout: '2000',
    });
  });
});
