/** A server listens before its database is prepared: it lives, says what it waits for, and lets nobody in until then. */
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from '../support/log.ts';
import { startServer, type ServerProcess } from '../support/serverProcess.ts';
import { createDatabase, type TestDatabase } from '../support/services.ts';
import { OWN, SDK } from './testApi.ts';

let database: TestDatabase;
let migrator: pg.Client;
let server: ServerProcess;

beforeAll(async () => {
  database = await createDatabase({ migrated: false });
  migrator = new pg.Client({ connectionString: database.migrateUrl });
  await migrator.connect();
  // Another server migrates.
  await migrator.query(`SELECT pg_advisory_lock(hashtext('edgeml'), hashtext('migrate'))`);
  server = await startServer(database);
});
afterAll(async () => {
  server?.child.kill('SIGKILL');
  await migrator?.end();
  await database.drop();
});

const ask = (method: string, path: string) =>
  server.ask(method, path, method === 'GET' ? undefined : {}, { 'idempotency-key': 'once' });

describe('a server whose database is not prepared yet', () => {
  it('lives, names what it waits for, and answers all else with 503 `starting`', async () => {
    const ready = await ask('GET', '/readyz');
    expect(ready.status).toBe(503);
    expect(await ready.json()).toMatchObject({ status: 'starting', parts: [{ name: 'database', state: 'starting' }] });
    expect((await ask('GET', '/metrics')).status).toBe(200);
    const asked = [
      ['GET', `${OWN}/models`],
      ['GET', `${SDK}/models`],
      ['GET', '/devices/phone/models/m/version'],
      ['POST', `${OWN}/models/m/rollback`],
      ['GET', `${OWN}/access/me`],
    ] as const;
    for (const [method, path] of asked) {
      const answer = await ask(method, path);
      expect([path, answer.status, answer.headers.get('retry-after')]).toEqual([path, 503, '1']);
      expect(await answer.json()).toMatchObject({ code: 'starting' });
    }
  });

  it('answers as soon as it is', async () => {
    await migrator.query('SELECT pg_advisory_unlock_all()');
    await until('it is ready', async () => (await ask('GET', '/readyz')).status === 200, 20_000);
    expect((await ask('GET', `${OWN}/access/me`)).status).toBe(200);
    expect((await ask('GET', '/devices/phone/models/m/version')).status).toBe(404);
  });
});
