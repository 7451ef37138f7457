/** A server listens before its database is prepared: it lives, says what it waits for, and lets nobody in until then. */
import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from '../support/log.ts';
import { createDatabase, testHome, type TestDatabase } from '../support/services.ts';
import { freePort, OWN, SDK } from './door.ts';

const NOWHERE = '127.0.0.1:9';
let database: TestDatabase;
let migrator: pg.Client;
let child: ChildProcess;
let url: string;
let key: string;

beforeAll(async () => {
  database = await createDatabase({ migrated: false });
  migrator = new pg.Client({ connectionString: database.migrateUrl });
  await migrator.connect();
  // Another server migrates.
  await migrator.query(`SELECT pg_advisory_lock(hashtext('edgeml'), hashtext('migrate'))`);
  const home = testHome('starting');
  mkdirSync(home, { recursive: true });
  key = `ek_test_${randomBytes(20).toString('hex')}`;
  writeFileSync(join(home, 'admin.key'), `${key}\n`, { mode: 0o600 });
  writeFileSync(join(home, 'secret'), randomBytes(32), { mode: 0o600 });
  const port = await freePort();
  url = `http://127.0.0.1:${port}`;
  child = spawn(process.execPath, ['--import', 'tsx', 'server.ts'], {
    cwd: join(import.meta.dirname, '..', '..'),
    env: {
      PATH: '',
      DATABASE_URL: database.appUrl,
      DATABASE_MIGRATE_URL: database.migrateUrl,
      NATS_URL: `nats://${NOWHERE}`,
      TEMPORAL_ADDRESS: NOWHERE,
      HTTP_PORT: String(port),
      EDGEML_HOME: home,
      EDGEML_BOOTSTRAP_KEY_FILE: join(home, 'admin.key'),
      EDGEML_SECRET_FILE: join(home, 'secret'),
    },
    stdio: 'ignore',
  });
  await until(
    'it listens',
    () =>
      fetch(`${url}/livez`).then(
        ({ ok }) => ok,
        () => false,
      ),
    40_000,
  );
});
afterAll(async () => {
  child?.kill('SIGKILL');
  await migrator?.end();
  await database.drop();
});

const ask = (method: string, path: string) =>
  fetch(url + path, {
    method,
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', 'idempotency-key': 'once' },
    ...(method === 'GET' ? {} : { body: '{}' }),
  });

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
