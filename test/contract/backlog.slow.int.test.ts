/**
 * A server that comes back to 50,000 facts without a place: devices are answered throughout, and the read models go on while the
 * sequencer works. Rates are compared within the run.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { load } from '../../bench/support/scaleLoad.ts';
import { deepNameOf, factsOf } from '../../bench/support/scaleFacts.ts';
import { modelIdOf } from '../../domain/hash/uuid.ts';
import { asOrgId } from '../../domain/org.ts';
import { projections } from '../../projections/registry.ts';
import { schemaOf } from '../../projections/table.ts';
import { Device } from '../../sdk/index.ts';
import { createPool, type Pool } from '../../store/connect.ts';
import { createEventStore, type PostgresEventStore } from '../../store/log/postgresEventStore.ts';
import { startServer, type ServerProcess } from '../support/serverProcess.ts';
import { createDatabase, startNats, type TestDatabase, type TestNats } from '../support/services.ts';
import { OWN } from './testApi.ts';

const ORG = asOrgId('org_local');
const SIZE = { firstDeep: 1, models: 15_000, deep: 3, versions: 2_000, rollouts: 1, judgements: 10_000 };

const KEY = { 'idempotency-key': 'once' };

let database: TestDatabase;
let nats: TestNats;
let pool: Pool;
let store: PostgresEventStore;
let server: ServerProcess;
beforeAll(async () => {
  database = await createDatabase();
  nats = await startNats();
  pool = createPool({ connectionString: database.appUrl, max: 2 });
  store = createEventStore({ connectionString: database.appUrl });
});
afterAll(async () => {
  server?.child.kill('SIGKILL');
  await store.close();
  await pool.end();
  await nats.stop();
  await database.drop();
});

async function places(): Promise<{ log: number; least: number }> {
  const at = await Promise.all(
    projections.map(async (p) => {
      const { rows } = await pool.query<{ log_index: number }>(`SELECT log_index FROM ${schemaOf(p)}.checkpoint`);
      return rows[0]?.log_index ?? -1;
    }),
  );
  return { log: await store.head(), least: Math.min(...at) };
}
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

it('answers devices, and fills the read models, while it catches up', { timeout: 600_000 }, async () => {
  expect(factsOf(SIZE)).toBeGreaterThan(50_000);
  server = await startServer(database, { natsUrl: nats.url });
  const [rollout] = await load({ store, pool }, ORG, { models: 0, deep: 1, versions: 1, rollouts: 1, judgements: 1 });
  const advance = { override: true, reason: 'test' };
  await server.soon(
    'it runs',
    async () => (await server.ask('POST', `${OWN}/rollouts/${rollout!}/advance`, advance, KEY)).ok,
  );
  const asker = { baseUrl: server.url, apiKey: server.key, deviceIdentifier: 'asker', platform: 'ios' };
  const model = modelIdOf(ORG, deepNameOf(0));
  await server.soon('a device is told', async () => (await new Device(asker).assignment(model)) !== undefined);
  await server.soon('all is read', async () => (await places()).least === (await store.head()));
  server.child.kill('SIGKILL');

  await load({ store, pool }, ORG, SIZE);
  const from = await places();
  const target = from.log + factsOf(SIZE);
  server = await startServer(database, { natsUrl: nats.url });
  const device = new Device({ ...asker, baseUrl: server.url, apiKey: server.key });
  await server.soon('a device is answered', async () => (await device.assignment(model)) !== undefined);

  const began = performance.now();
  const answers: unknown[] = [];
  let meanwhile: { facts: number; ms: number } | undefined;
  for (let now = from; now.least < target; now = await places()) {
    answers.push(await device.assignment(model)); // throws where it is not answered
    if (now.log >= target) meanwhile ??= { facts: now.least - from.least, ms: performance.now() - began };
    await sleep(20);
  }
  const free = { facts: target - from.least - meanwhile!.facts, ms: performance.now() - began - meanwhile!.ms };
  expect(answers).not.toContain(undefined);
  expect(answers.length).toBeGreaterThan(100);
  expect(meanwhile!.facts / meanwhile!.ms / (free.facts / free.ms)).toBeGreaterThan(0.1);
  const metrics = await (await server.ask('GET', '/metrics')).text();
  const lag = /^edgeml_nodejs_eventloop_lag_p99_seconds (\S+)/m.exec(metrics)?.[1];
  expect(Number(lag)).toBeLessThan(0.05); // of the loop that answers devices
});
