/** What the configuration puts into an address is what Postgres takes. */
import pg from 'pg';
import { expect, it } from 'vitest';
import { clusterOf } from './test/support/services.ts';
import { readConfig } from './config.ts';
import { withAdmin } from './dev/postgres.ts';

it('a password with any characters logs in, from a variable of its own', async () => {
  const password = `a/b@c#d?e%f:g h'i"\\é%2F`;
  const name = 'edgeml_test_password';
  const { adminUrl, appUrl } = clusterOf();
  await withAdmin(adminUrl, async (admin) => {
    await admin.query(`DROP ROLE IF EXISTS ${name}`);
    await admin.query(`CREATE ROLE ${name} LOGIN PASSWORD ${pg.escapeLiteral(password)}`);
    try {
      const address = new URL(adminUrl);
      address.username = name;
      address.password = '';
      const { database } = readConfig({
        DATABASE_URL: appUrl,
        DATABASE_MIGRATE_URL: address.href,
        DATABASE_MIGRATE_PASSWORD: password,
        NATS_URL: 'nats://127.0.0.1',
        TEMPORAL_ADDRESS: '127.0.0.1:7403',
      });
      const client = new pg.Client({ connectionString: database.migrateUrl });
      await client.connect();
      expect((await client.query('SELECT current_user::text AS name')).rows).toEqual([{ name }]);
      await client.end();
    } finally {
      await admin.query(`DROP ROLE ${name}`);
    }
  });
});
