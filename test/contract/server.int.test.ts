/** The service process: it starts, serves and stops while NATS and Temporal are away; the kill switch works meanwhile. */
import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createEventStore, type PostgresEventStore } from '../../store/log/postgresEventStore.ts';
import { until } from '../support/log.ts';
import { createDatabase, testHome, type TestDatabase } from '../support/services.ts';
import { freePort, OWN, publishAll, SDK } from './door.ts';

const ROOT = join(import.meta.dirname, '..', '..');
/** Nobody listens there. */
const NOWHERE = '127.0.0.1:9';

let database: TestDatabase;
let log: PostgresEventStore;
let child: ChildProcess;
let url: string;
let key: string;
let home: string;
let output = '';

beforeAll(async () => {
  database = await createDatabase({ migrated: false });
  home = testHome('server');
  mkdirSync(home, { recursive: true });
  key = `ek_test_${randomBytes(20).toString('hex')}`;
  writeFileSync(join(home, 'admin.key'), `${key}\n`, { mode: 0o600 });
  writeFileSync(join(home, 'secret'), randomBytes(32), { mode: 0o600 });
  const port = await freePort();
  url = `http://127.0.0.1:${port}`;
  child = spawn(process.execPath, ['--import', 'tsx', 'server.ts'], {
    cwd: ROOT,
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
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (chunk: Buffer) => (output += chunk.toString()));
  await soon('the server to be ready', async () => (await fetch(`${url}/readyz`)).ok);
  log = createEventStore({ connectionString: database.appUrl });
});
afterAll(async () => {
  child?.kill('SIGKILL');
  await log?.close();
  await database.drop();
});

/** As `until`, with the server's words where it waits in vain; what throws is not so yet. */
async function soon(what: string, isSo: () => Promise<boolean>): Promise<void> {
  const ask = () => isSo().catch(() => false);
  await until(what, ask, 40_000).catch((error: Error) => {
    throw new Error(`${error.message}\n${output.slice(-4_000)}`);
  });
}

async function call(method: string, path: string, body?: unknown, headers: Record<string, string> = {}) {
  const response = await fetch(url + path, {
    method,
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const answer: unknown = await response.json();
  return { status: response.status, body: answer as Readonly<Record<string, unknown>> }; // every answer here is an object
}
const post = (path: string, body: unknown) => call('POST', path, body, { 'idempotency-key': randomUUID() });

describe('without NATS and Temporal', () => {
  it('has migrated, knows the bootstrap key, and is ready but degraded', async () => {
    expect((await call('GET', `${OWN}/access/me`)).body).toMatchObject({
      org_id: 'org_local',
      roles: ['admin', 'instance'],
    });
    let ready = await call('GET', '/readyz?verbose');
    await soon('the read models are filled', async () => {
      ready = await call('GET', '/readyz?verbose');
      return (
        JSON.stringify(ready.body).includes('{"name":"pointers","state":"ok"}') &&
        !JSON.stringify(ready.body).includes('starting')
      );
    });
    expect(ready.status).toBe(200);
    expect(ready.body).toMatchObject({
      status: 'degraded',
      parts: expect.arrayContaining([
        expect.objectContaining({ name: 'postgres', state: 'ok' }),
        expect.objectContaining({ name: 'nats', state: 'degraded' }),
        expect.objectContaining({ name: 'temporal', state: 'degraded' }),
        { name: 'sequencer', state: 'ok' },
        { name: 'projection catalog', state: 'ok' },
        { name: 'pointers', state: 'ok' },
      ]) as unknown,
    });
  });

  it('still rolls back, and tells devices at once', async () => {
    const model = await post(`${OWN}/models`, { name: 'dark', framework: 'f', use_case: 'u' });
    await publishAll(database.appUrl, join(home, 'blobs'), String(model.body['id']), '1.0.0', '1.1.0');
    const stage = { percent: 100, ramp: '0s', min_bake: '1h', max_bake: '2h' };
    const first = await post(`${OWN}/models/dark/rollouts`, { version: '1.0.0', stages: [stage], start: true });
    await post(`${OWN}/rollouts/${String(first.body['id'])}/advance`, { override: true, reason: 'test' });
    const second = await post(`${OWN}/models/dark/rollouts`, { version: '1.1.0', stages: [stage], start: true });
    expect(second.status).toBe(201);
    const device = await post(`${SDK}/devices/register`, { device_identifier: 'phone', platform: 'ios' });
    const told = async () =>
      (await call('GET', `/devices/${String(device.body['id'])}/models/dark/version`)).body['version'];
    await soon('the device to be told 1.1.0', async () => (await told()) === '1.1.0');
    const stopped = await call('POST', `${OWN}/models/dark/rollback`, { reason: 'it is bad' });
    expect(stopped.body).toMatchObject({ status: 'rolled_back', target: '1.0.0' });
    await soon('the device to be told 1.0.0', async () => (await told()) === '1.0.0');
  });

  it('ends on SIGTERM, with everything answered', async () => {
    const ended = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)));
    child.kill('SIGTERM');
    expect(await ended).toBe(0);
    expect(output).toContain('"msg":"stopped"');
  });
});
