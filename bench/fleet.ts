/**
 * What grows with the fleet, and what does not: the version question of 5,000 active devices (`--full`: 50,000) alone and among 200,000
 * registered ones (10 million), how many of them are back after a rollback, and how long a rollback takes to reach a device that asks while
 * fifty connections ask. Temporal does not run here. Exits 1 for a wrong answer; goals that are not met fail nothing.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { removeHome, startStack } from '../dev/stack.ts';
import { asOrgId } from '../domain/org.ts';
import { createPool } from '../store/connect.ts';
import { createEventStore } from '../store/log/postgresEventStore.ts';
import { queryableOf } from '../store/queryable.ts';
import { createTelemetryReader } from '../store/telemetry/telemetryReader.ts';
import { callerOf } from './support/caller.ts';
import { CONNECTIONS, load } from './support/load.ts';
import { check, printConditions, printResult, quantile } from './support/report.ts';
import { deepNameOf, versionOf } from './support/scaleFacts.ts';
import { load as loadLog } from './support/scaleLoad.ts';

const isFull = process.argv.includes('--full');
const ACTIVE = isFull ? 50_000 : 5_000;
const REGISTERED = isFull ? 10_000_000 : 200_000;
const SECONDS = isFull ? 20 : 5;
const WARM_UP_S = isFull ? 30 : 5;
const ROLLBACKS = 20;
const AT_ONCE = 100_000;
const ORG = asOrgId('org_local');

/** As Postgres makes it below. */
function idOf(i: number): string {
  const hex = createHash('md5').update(`bench ${i}`).digest('hex');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
const ids = Array.from({ length: ACTIVE }, (_, i) => idOf(i));
const sleep = (ms: number) => new Promise((done) => setTimeout(done, ms));

const home = resolve('.edgeml', `bench-fleet-${process.pid}`);
const stack = await startStack({ home, external: {}, services: ['postgres', 'nats', 'server'], say: console.error });
const key = readFileSync(stack.keyFile, 'utf8').trim();
const pool = createPool({ connectionString: stack.env['DATABASE_URL']!, max: 2, name: 'bench' });

const call = callerOf(stack.url, key);

/** A model with published versions, the first of them stable. */
async function prepareModel(): Promise<string> {
  const store = createEventStore({ connectionString: stack.env['DATABASE_URL']! });
  await loadLog({ store, pool }, ORG, { models: 0, deep: 1, versions: ROLLBACKS + 1, rollouts: 0, judgements: 0 });
  await store.close();
  // Read models are filled a moment after the server listens.
  while ((await (await fetch(`${stack.url}/readyz`)).text()).includes('"starting"')) await sleep(50);
  const { id } = await call<{ id: string }>({
    method: 'GET',
    path: `/api/v1/models/${encodeURIComponent(deepNameOf(0))}`,
  });
  const rolloutId = await rollOut(id, versionOf(1));
  await call({
    method: 'POST',
    path: `/lifecycle/v1/rollouts/${rolloutId}/advance`,
    body: { override: true, reason: 'bench' },
  });
  return id;
}

async function rollOut(modelId: string, version: string): Promise<number> {
  const stages = [{ percent: 100, ramp: '0s', min_bake: '1h', max_bake: '2h' }];
  const body = { version, stages, start: true };
  return (await call<{ id: number }>({ method: 'POST', path: `/lifecycle/v1/models/${modelId}/rollouts`, body })).id;
}

/** Devices from number `from` up to before `to`. */
async function register(from: number, to: number): Promise<void> {
  for (let i = from; i < to; i += AT_ONCE) {
    await pool.query(
      `INSERT INTO ops.devices (id, org_id, identifier, platform, os_version)
       SELECT md5('bench ' || i)::uuid, $3, 'bench-' || i, 'ios', '17.4' FROM generate_series($1::int, $2::int - 1) i`,
      [i, Math.min(to, i + AT_ONCE), ORG],
    );
  }
}

async function tell(modelId: string, version: string, to: number): Promise<void> {
  for (let i = 0; i < to; i += AT_ONCE) {
    await pool.query(
      `SELECT ops.record_told(array_agg(md5('bench ' || i)::uuid), array_agg($3::text), array_agg($4::text), array_agg(clock_timestamp()))
         FROM generate_series($1::int, $2::int - 1) i`,
      [i, Math.min(to, i + AT_ONCE), modelId, version],
    );
  }
}

const asking = (modelId: string, seconds: number) =>
  load({
    url: stack.url,
    key,
    seconds,
    asks: (n) =>
      ids
        .filter((_, i) => i % CONNECTIONS === n)
        .map((id) => ({ method: 'GET', path: `/devices/${id}/models/${modelId}/version` })),
    isRight: (body) => body.includes('"version":"0.0.'),
  });

async function rollbacks(modelId: string): Promise<number[]> {
  const question = `/devices/${ids[0]!}/models/${modelId}/version`;
  const isTold = async (version: string) =>
    (await call<{ version: string }>({ method: 'GET', path: question })).version === version;
  const times: number[] = [];
  for (let i = 2; i <= ROLLBACKS + 1; i += 1) {
    const rolloutId = await rollOut(modelId, versionOf(i));
    while (!(await isTold(versionOf(i)))) await sleep(5);
    const stopped = call({
      method: 'POST',
      path: `/lifecycle/v1/rollouts/${rolloutId}/rollback`,
      body: { reason: 'bench' },
    });
    while (!(await isTold(versionOf(1))));
    const toldAt = Date.now();
    await stopped;
    const { rows } = await pool.query<{ recorded_at: Date }>(
      `SELECT recorded_at FROM store.events WHERE stream_id = $1 AND type = 'RolloutRolledBack'`,
      [`rollout-${rolloutId}`],
    );
    times.push(toldAt - rows[0]!.recorded_at.getTime());
  }
  return times;
}

try {
  printConditions({ durability: 'fsync on', preset: isFull ? 'full' : 'quick', devices: String(REGISTERED) });
  const modelId = await prepareModel();
  await register(0, ACTIVE);
  await asking(modelId, WARM_UP_S);
  const alone = await asking(modelId, SECONDS);
  await register(ACTIVE, REGISTERED);
  await pool.query('ANALYZE ops.devices');
  await asking(modelId, WARM_UP_S);
  const among = await asking(modelId, SECONDS);
  const ratio = among.perSecond / alone.perSecond;
  const rates = `${Math.round(among.perSecond)}/s, alone ${Math.round(alone.perSecond)}/s, ratio ${ratio.toFixed(2)}`;
  printResult(`question, ${ACTIVE} of ${REGISTERED} devices`, rates, '≥ 0.8', ratio >= 0.8);

  await tell(modelId, '9.9.9', REGISTERED);
  const reader = createTelemetryReader(queryableOf(pool));
  const counts: number[] = [];
  for (let i = 0; i < 50; i += 1) {
    const began = performance.now();
    const { told } = await reader.devicesOnVersion(modelId, '9.9.9');
    counts.push(performance.now() - began);
    check(told === REGISTERED, `${told} of ${REGISTERED} were told`);
  }
  const counted = quantile(counts, 0.5);
  printResult(`who is back, ${REGISTERED} told`, `p50 ${counted.toFixed(1)} ms`, '≤ 50 ms', counted <= 50);

  const [times] = await Promise.all([rollbacks(modelId), asking(modelId, SECONDS * 3)]);
  const p99 = quantile(times, 0.99);
  const result = `p50 ${Math.round(quantile(times, 0.5))} ms, p99 ${Math.round(p99)} ms of ${times.length}`;
  printResult('rollback appended, then told', result, '≤ 250 ms', p99 <= 250);
} finally {
  await pool.end();
  await stack.stop();
  removeHome(home);
}
