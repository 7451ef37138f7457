/**
 * What grows with the log, and what does not. A whole product is loaded with 100,000 facts (`--full`: 1.3 million) through its own
 * append while its server is down; then it catches up while devices ask, and single calls are timed beside the empty product. Temporal
 * does not run here. Exits 1 if an answer is wrong; goals that are not met fail nothing, since machines differ.
 */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { removeHome, startStack, type Stack } from '../dev/stack.ts';
import { modelIdOf } from '../domain/hash/uuid.ts';
import { asOrgId } from '../domain/org.ts';
import { projections } from '../projections/registry.ts';
import { schemaOf } from '../projections/table.ts';
import { Audit, connect, Device } from '../sdk/index.ts';
import { createPool, type Pool } from '../store/connect.ts';
import { createEventStore } from '../store/log/postgresEventStore.ts';
import { check, printConditions, printResult, quantile } from './support/report.ts';
import { deepNameOf, factsOf, nameOf, type Size } from './support/scaleFacts.ts';
import { load } from './support/scaleLoad.ts';

const isFull = process.argv.includes('--full');
const size: Size = isFull
  ? { models: 200_000, deep: 100, versions: 2_000, rollouts: 8, judgements: 10_000 }
  : { models: 20_000, deep: 6, versions: 2_000, rollouts: 2, judgements: 10_000 };
const ORG = asOrgId('org_local');

interface Bench {
  readonly stack: Stack;
  readonly key: string;
  readonly pool: Pool;
  /** Requests that were made, so that names differ. */
  made: number;
}

const timed = async <T>(work: () => Promise<T>): Promise<readonly [ms: number, answer: T]> => {
  const began = performance.now();
  const answer = await work();
  return [performance.now() - began, answer];
};
const sleep = (ms: number) => new Promise((done) => setTimeout(done, ms));
const rounded = (ms: number): string => (ms < 100 ? ms.toFixed(1) : String(Math.round(ms)));

async function call(bench: Bench, method: string, path: string, body?: unknown): Promise<unknown> {
  const response = await fetch(bench.stack.url + path, {
    method,
    headers: {
      authorization: `Bearer ${bench.key}`,
      'content-type': 'application/json',
      'idempotency-key': `scale-${(bench.made += 1)}`,
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  check(response.ok, `${method} ${path} answered ${response.status}: ${text.slice(0, 300)}`);
  return JSON.parse(text);
}

/** Median of `n` calls, after a few that warm up. */
async function p50(n: number, work: () => Promise<unknown>): Promise<number> {
  const times: number[] = [];
  for (let i = -5; i < n; i += 1) {
    const [ms] = await timed(work);
    if (i >= 0) times.push(ms);
  }
  return quantile(times, 0.5);
}

const createModel = (bench: Bench) => () =>
  call(bench, 'POST', '/api/v1/models', { name: `made ${bench.made}`, framework: 'onnx', use_case: 'bench' });

/** Asks one thing again and again, and times it. @returns ends it, and answers the milliseconds of each */
function keepAsking(pauseMs: number, ask: () => Promise<unknown>): () => Promise<number[]> {
  const times: number[] = [];
  let isOver = false;
  const lane = (async () => {
    while (!isOver) {
      times.push((await timed(ask))[0]);
      await sleep(pauseMs);
    }
  })();
  return async () => {
    isOver = true;
    await lane;
    return times;
  };
}
const askLive = (bench: Bench) => keepAsking(5, () => fetch(`${bench.stack.url}/livez`));

interface Places {
  readonly log: number;
  readonly least: number;
  readonly nats: number;
}

async function places({ pool }: Bench): Promise<Places> {
  const positions = await Promise.all(
    projections.map(async (p) => {
      const { rows } = await pool.query<{ log_index: number }>(`SELECT log_index FROM ${schemaOf(p)}.checkpoint`);
      return rows[0]?.log_index ?? -1;
    }),
  );
  const { rows } = await pool.query<{ log: number; nats: number | null }>(
    `SELECT coalesce((SELECT log_index FROM store.log ORDER BY log_index DESC LIMIT 1), -1) AS log,
            (SELECT log_index FROM store.followers WHERE name = 'nats') AS nats`,
  );
  return { log: rows[0]!.log, nats: rows[0]!.nats ?? -1, least: Math.min(...positions) };
}

async function catchUp(bench: Bench, device: Device, model: string, facts: number): Promise<void> {
  const from = await places(bench);
  await bench.stack.startService('server');
  const endLive = askLive(bench);
  const endDevice = keepAsking(20, async () =>
    check((await device.assignment(model)) !== undefined, 'a device was told nothing'),
  );
  const began = performance.now();
  const reached: Partial<Record<keyof Places, number>> = {};
  let whileSequencing: number | undefined;
  for (;;) {
    const now = await places(bench);
    const seconds = (performance.now() - began) / 1_000;
    for (const name of ['log', 'least', 'nats'] as const)
      if (reached[name] === undefined && now[name] - from[name] >= facts) reached[name] = seconds;
    if (reached.log !== undefined) whileSequencing ??= (now.least - from.least) / seconds;
    if (reached.least !== undefined && reached.nats !== undefined) break;
    await sleep(200);
  }
  const rate = (name: keyof Places) => Math.round(facts / reached[name]!);
  printResult('sequencer', `${rate('log')} facts/s`, '≥ 5,000/s', rate('log') >= 5_000);
  const during = Math.round(whileSequencing!);
  printResult('the slowest read model meanwhile', `${during} facts/s`, '≥ 5,000/s', during >= 5_000);
  printResult('the slowest read model, to the end', `${rate('least')} facts/s`, '≥ 5,000/s', rate('least') >= 5_000);
  printResult('NATS relay, beside them', `${rate('nats')} facts/s`, '≥ 10,000/s alone', rate('nats') >= 10_000);
  const [lives, tolds] = [await endLive(), await endDevice()];
  const [live, told] = [quantile(lives, 0.99), quantile(tolds, 0.99)];
  printResult('/livez meanwhile', `p99 ${rounded(live)} ms of ${lives.length}`, '≤ 50 ms', live <= 50);
  printResult('a device’s question meanwhile', `p99 ${rounded(told)} ms of ${tolds.length}`, '≤ 50 ms', told <= 50);
}

async function lists(bench: Bench, models: number): Promise<void> {
  const endLive = askLive(bench);
  const [ms, all] = await timed(() => call(bench, 'GET', '/api/v1/models'));
  const live = quantile(await endLive(), 0.99);
  const { models: listed, total } = all as { models: { name: string }[]; total: number }; // the contract of the route
  check(total === models && listed.length === models, `${listed.length} of ${models} models are listed`);
  check(new Set(listed.map((m) => m.name)).size === models, 'a model is listed twice');
  printResult(
    `all ${models} models`,
    `${rounded(ms)} ms, /livez p99 ${rounded(live)} ms`,
    '/livez ≤ 50 ms',
    live <= 50,
  );
  for (const [what, path] of [
    ['a page of 100 models', '/api/v1/models?limit=100'],
    ['the same, deep', `/api/v1/models?limit=100&offset=${models - 150}`],
    ['models by a part of the name', `/lifecycle/v1/models?name_contains=${encodeURIComponent(nameOf(1_234))}`],
    ['a page of 2,000 versions', `/api/v1/models/${modelIdOf(ORG, deepNameOf(1))}/versions?limit=100`],
  ] as const) {
    const median = await p50(20, () => call(bench, 'GET', path));
    printResult(what, `p50 ${rounded(median)} ms`, '≤ 20 ms', median <= 20);
  }
}

/** After a look at it, as its watcher takes one at least every few minutes: that leaves a snapshot. */
async function stopLongRollout(bench: Bench, rolloutId: number): Promise<void> {
  const [first] = await timed(() => call(bench, 'GET', `/lifecycle/v1/rollouts/${rolloutId}`));
  await sleep(2_000);
  const [ms, answer] = await timed(() =>
    call(bench, 'POST', `/lifecycle/v1/rollouts/${rolloutId}/rollback`, { reason: 'scale' }),
  );
  check((answer as { status: string }).status === 'rolled_back', 'the rollout was not rolled back');
  const result = `${rounded(ms)} ms; the look before it, without a snapshot, ${rounded(first)} ms`;
  printResult(`stop after ${size.judgements} judgements`, result, '≤ 250 ms', ms <= 250);
}

async function restart(bench: Bench, device: Device, model: string): Promise<void> {
  await bench.stack.kill('server', 'SIGKILL');
  const [ms] = await timed(async () => {
    for (;;) {
      const told = await device.assignment(model).catch(() => undefined);
      if (told !== undefined) return;
      await sleep(20);
    }
  });
  await bench.stack.ready('server');
  printResult('kill -9, then a device is answered', `${rounded(ms / 1_000)} s`, '≤ 5 s', ms <= 5_000);
}

async function verify(bench: Bench): Promise<void> {
  const { http } = connect({ baseUrl: bench.stack.url, apiKey: bench.key });
  const [ms, report] = await timed(() => new Audit(http).verify({}));
  check(report.passed, `the log does not verify: ${JSON.stringify(report.findings.slice(0, 3))}`);
  const facts = report.size;
  const perMinute = Math.round((facts / ms) * 60_000);
  printResult('audit verify', `${rounded(ms / 1_000)} s for ${facts} facts`, '≥ 1 M facts a minute', perMinute >= 1e6);
}

async function sizes({ pool }: Bench): Promise<void> {
  for (const projection of projections) {
    const { rows } = await pool.query<{ mb: number }>(
      `SELECT (sum(pg_total_relation_size(c.oid)) / 1e6)::float8 AS mb FROM pg_class c
         JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relkind = 'r'`,
      [schemaOf(projection)],
    );
    const mb = rows[0]!.mb;
    const perFact = (mb * 1e6) / factsOf(size);
    printResult(
      `rows of ${projection.name}`,
      `${mb.toFixed(1)} MB, ${Math.round(perFact)} bytes a fact`,
      '≤ 1 kB a fact',
      perFact <= 1_000,
    );
  }
}

async function run(bench: Bench): Promise<void> {
  const facts = factsOf(size);
  while ((await call(bench, 'GET', '/api/v1/models').catch(() => undefined)) === undefined) await sleep(50);
  const empty = await p50(100, createModel(bench));
  const before = bench.made;
  const store = createEventStore({ connectionString: bench.stack.env['DATABASE_URL']! });

  // A model whose rollout devices are told of, from the small end of the same generator.
  const one = await load({ store, pool: bench.pool }, ORG, {
    models: 0,
    deep: 1,
    versions: 1,
    rollouts: 1,
    judgements: 1,
  });
  const asked = modelIdOf(ORG, deepNameOf(0));
  await call(bench, 'POST', `/lifecycle/v1/rollouts/${one[0]!}/advance`, { override: true, reason: 'scale' });
  const device = new Device({
    baseUrl: bench.stack.url,
    apiKey: bench.key,
    deviceIdentifier: 'asker',
    platform: 'ios',
  });
  while ((await device.assignment(asked).catch(() => undefined)) === undefined) await sleep(50);
  await sleep(1_500); // the read models and the relay come to the head

  await bench.stack.stopService('server');
  const [ms, rolloutIds] = await timed(() => load({ store, pool: bench.pool }, ORG, { ...size, firstDeep: 1 }));
  printResult('load, eight appenders', `${Math.round((facts / ms) * 1_000)} facts/s`, '≥ 5,000/s', facts / ms >= 5);
  await bench.pool.query('ANALYZE');
  await catchUp(bench, device, asked, facts);
  await sizes(bench);

  const full = await p50(100, createModel(bench));
  const ratio = full / empty;
  printResult(
    'create a model',
    `p50 ${rounded(full)} ms, empty ${rounded(empty)} ms, ratio ${ratio.toFixed(2)}`,
    '≤ 1.3',
    ratio <= 1.3,
  );
  const { total } = (await call(bench, 'GET', '/api/v1/models?limit=1')) as { total: number };
  await lists(bench, total);
  check(total >= size.models + size.deep + before, `${total} models are listed`);
  await stopLongRollout(bench, rolloutIds[0]!);
  await restart(bench, device, asked);
  await verify(bench);
  await store.close();
}

const home = resolve('.edgeml', `bench-scale-${process.pid}`);
const stack = await startStack({ home, external: {}, services: ['postgres', 'nats', 'server'], say: console.error });
const pool = createPool({ connectionString: stack.env['DATABASE_URL']!, max: 2, name: 'scale' });
try {
  printConditions({ durability: 'fsync on', preset: isFull ? 'full' : 'quick', facts: String(factsOf(size)) });
  await run({ stack, key: readFileSync(stack.keyFile, 'utf8').trim(), pool, made: 0 });
} finally {
  await pool.end();
  await stack.stop();
  removeHome(home);
}
