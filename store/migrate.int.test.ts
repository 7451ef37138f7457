/** Migrations apply once, and leave everything to the owner. */
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDatabase } from '../test/support/services.ts';
import { migrate, shippedMigrations } from './migrate.ts';

let db: Awaited<ReturnType<typeof createDatabase>>;
let admin: pg.Client;
let urls: { migrateUrl: string; appUrl: string };
beforeAll(async () => {
  db = await createDatabase({ migrated: false });
  urls = { migrateUrl: db.migrateUrl, appUrl: db.appUrl };
  admin = new pg.Client({ connectionString: db.adminUrl });
  await admin.connect();
});
afterAll(async () => {
  await admin.end();
  await db.drop();
});
const applied = async () => (await admin.query('SELECT name, applied_at FROM store.migrations ORDER BY name')).rows;

describe('migrate', () => {
  it('applies each file once, also where several processes start at once', async () => {
    await Promise.all([migrate(urls), migrate(urls), migrate(urls)]);
    const first = await applied();
    expect(first.map((r) => r.name)).toEqual(shippedMigrations().map((m) => m.name));
    await migrate(urls);
    expect(await applied()).toEqual(first);
  });

  it('lets the owner own everything', async () => {
    const { rows } = await admin.query(
      `SELECT c.relname FROM pg_class c WHERE c.relnamespace IN ('store'::regnamespace, 'ops'::regnamespace)
          AND c.relowner <> 'edgeml_owner'::regrole
       UNION ALL SELECT p.proname FROM pg_proc p WHERE p.pronamespace = 'store'::regnamespace AND p.proowner <> 'edgeml_owner'::regrole`,
    );
    expect(rows).toEqual([]);
    const { rows: roles } = await admin.query(
      `SELECT rolname, rolcanlogin, rolsuper FROM pg_roles WHERE rolname LIKE 'edgeml\\_owner' OR rolname = 'edgeml_app' ORDER BY 1`,
    );
    expect(roles).toEqual([
      { rolname: 'edgeml_app', rolcanlogin: true, rolsuper: false },
      { rolname: 'edgeml_owner', rolcanlogin: false, rolsuper: false },
    ]);
  });

  it('refuses a file that changed after it was applied, and touches nothing', async () => {
    const [first, ...rest] = shippedMigrations();
    const changed = [
      { ...first!, sql: `${first!.sql}\n-- a change` },
      ...rest,
      { name: '9000_new.sql', sql: 'CREATE TABLE ops.new ()' },
    ];
    await expect(migrate(urls, changed)).rejects.toThrow(
      /0001_log\.sql was applied with SHA-256 [0-9a-f]{64}, this build ships/,
    );
    expect((await admin.query(`SELECT to_regclass('ops.new') AS t`)).rows[0].t).toBeNull();
  });

  it('takes a failing file back whole, names it, and goes on once it is mended', async () => {
    const broken = { name: '9001_broken.sql', sql: 'CREATE TABLE ops.half (n int); SELECT 1/0' };
    const whole = [...shippedMigrations(), { name: '9000_before.sql', sql: 'CREATE TABLE ops.before (n int)' }];
    await expect(migrate(urls, [...whole, broken])).rejects.toThrow(/9001_broken\.sql failed: division by zero/);
    const tables = async () =>
      (await admin.query(`SELECT to_regclass('ops.before')::text AS before, to_regclass('ops.half')::text AS half`))
        .rows[0];
    expect(await tables()).toEqual({ before: 'ops.before', half: null });
    await migrate(urls, [...whole, { ...broken, sql: 'CREATE TABLE ops.half (n int)' }]);
    expect(await tables()).toEqual({ before: 'ops.before', half: 'ops.half' });
  });

  it('lets an older build start on a newer schema', async () => {
    await migrate(urls);
    expect((await applied()).map((r) => r.name)).toContain('9001_broken.sql');
  });

  it('refuses an application URL of another user', async () => {
    await expect(migrate({ ...urls, appUrl: db.adminUrl })).rejects.toThrow('must name user edgeml_app');
  });

  it('works for a migrator that is no superuser but owns the database', async () => {
    const name = `edgeml_test_migrator`;
    await admin.query(`DROP ROLE IF EXISTS ${name}`);
    await admin.query(`CREATE ROLE ${name} LOGIN CREATEROLE PASSWORD 'm'`);
    // What Postgres 16 and newer give the role that creates another one.
    await admin.query(`GRANT edgeml_owner, edgeml_app TO ${name} WITH ADMIN TRUE, INHERIT FALSE, SET FALSE`);
    const other = await createDatabase({ migrated: false });
    const url = new URL(other.adminUrl);
    await admin.query(`ALTER DATABASE ${pg.escapeIdentifier(url.pathname.slice(1))} OWNER TO ${name}`);
    url.username = name;
    url.password = 'm';
    try {
      await migrate({ migrateUrl: url.href, appUrl: other.appUrl });
      const app = new pg.Client({ connectionString: other.appUrl });
      await app.connect();
      expect((await app.query('SELECT next_index FROM store.sequencer')).rows).toEqual([{ next_index: '0' }]);
      await app.end();
    } finally {
      await other.drop();
      await admin.query(`REVOKE edgeml_owner, edgeml_app FROM ${name} CASCADE`).catch(() => undefined);
      await admin.query(`DROP ROLE ${name}`);
    }
  });
});
