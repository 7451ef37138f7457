/**
 * What the API costs: each call beside a bare fastify route that answers the same body, by the same fifty connections, in the same run.
 * Server, database and load share the machine. `--full` asks longer. Exits 1 for a wrong answer; goals that are not met fail nothing.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { removeHome, startStack } from '../dev/stack.ts';
import { asOrgId } from '../domain/org.ts';
import { createEventStore } from '../store/log/postgresEventStore.ts';
import { createPool } from '../store/connect.ts';
import { callerOf, type Asked } from './support/caller.ts';
import { CONNECTIONS, load, type Loaded } from './support/load.ts';
import { printConditions, printResult } from './support/report.ts';
import { deepNameOf } from './support/scaleFacts.ts';
import { load as loadLog } from './support/scaleLoad.ts';

const isFull = process.argv.includes('--full');
const SECONDS = isFull ? 20 : 4;
const WARM_UP_S = 2;
const DEVICES = 5_000;
const ORG = asOrgId('org_local');

interface Scenario {
  readonly name: string;
  /** Least share of the bare route's rate. */
  readonly goal: number;
  /** Route of the bare server. */
  readonly route: string;
  readonly asks: (connection: number) => readonly Asked[];
  readonly isRight: (body: string) => boolean;
}

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
/** The devices of one connection. */
const ofConnection = (ids: readonly string[], connection: number) =>
  ids.filter((_, i) => i % CONNECTIONS === connection);

async function bare(scenarios: readonly (readonly [Scenario, unknown])[]): Promise<readonly [ChildProcess, string]> {
  const bodies = scenarios.map(([{ route, asks }, body]) => [asks(0)[0]!.method, route, body]);
  const child = fork(join(import.meta.dirname, 'support', 'bareFastify.ts'), [JSON.stringify(bodies)], {
    execArgv: ['--import', 'tsx'],
  });
  const [port] = (await once(child, 'message')) as [number];
  return [child, `http://127.0.0.1:${port}`];
}

const home = resolve('.edgeml', `bench-http-${process.pid}`);
const stack = await startStack({ home, external: {}, services: ['postgres', 'nats', 'server'], say: console.error });
const key = readFileSync(stack.keyFile, 'utf8').trim();

const call = callerOf(stack.url, key);

/** A model with a rollout at 10 %, and registered devices. */
async function prepare(): Promise<{ readonly modelId: string; readonly ids: readonly string[] }> {
  const pool = createPool({ connectionString: stack.env['DATABASE_URL']!, max: 2, name: 'bench' });
  const store = createEventStore({ connectionString: stack.env['DATABASE_URL']! });
  const size = { models: 0, deep: 1, versions: 2, rollouts: 1, judgements: 1 };
  const [rolloutId] = await loadLog({ store, pool }, ORG, size);
  await Promise.all([pool.end(), store.close()]);
  // Read models are filled a moment after the server listens.
  const isStarting = async () => (await (await fetch(`${stack.url}/readyz`)).text()).includes('"starting"');
  while (await isStarting()) await new Promise((resolve) => setTimeout(resolve, 50));
  const listed = await call<{ id: string }>({
    method: 'GET',
    path: `/api/v1/models/${encodeURIComponent(deepNameOf(0))}`,
  });
  await call({
    method: 'POST',
    path: `/lifecycle/v1/rollouts/${rolloutId!}/advance`,
    body: { override: true, reason: 'bench' },
  });
  const ids: string[] = [];
  for (const from of range(DEVICES / 100)) {
    const some = range(100).map((i) => ({
      method: 'POST' as const,
      path: '/api/v1/devices/register',
      body: { device_identifier: `bench-${from * 100 + i}`, platform: 'ios', os_version: '17.4' },
    }));
    ids.push(...(await Promise.all(some.map((one) => call<{ id: string }>(one)))).map((one) => one.id));
  }
  return { modelId: listed.id, ids };
}

function scenariosFor(modelId: string, ids: readonly string[]): Scenario[] {
  let run = 0;
  return [
    {
      name: 'version question',
      goal: 0.35,
      route: '/devices/:device/models/:model/version',
      asks: (n) =>
        ofConnection(ids, n).map((id) => ({ method: 'GET', path: `/devices/${id}/models/${modelId}/version` })),
      isRight: (body) => body.includes('"version":"0.0.1"'),
    },
    {
      name: 'report',
      goal: 0.1,
      route: '/lifecycle/v1/devices/:device/reports',
      asks(n) {
        const session = `bench-${(run += 1)}`;
        return range(10).flatMap((i) =>
          ofConnection(ids, n).map((id) => ({
            method: 'POST',
            path: `/lifecycle/v1/devices/${id}/reports`,
            body: {
              session,
              seq: i + 1,
              acked: i,
              model: modelId,
              version: '0.0.1',
              predictions: { ok: 20 * (i + 1), failed: i },
              latency: { '541': 20 * (i + 1) },
            },
          })),
        );
      },
      isRight: (body) => body.includes('"duplicate":false'),
    },
    {
      name: 'check-in, no round open',
      goal: 0.1,
      route: '/lifecycle/v1/training/checkin',
      asks: (n) =>
        ofConnection(ids, n).map((id) => ({
          method: 'POST',
          path: '/lifecycle/v1/training/checkin',
          body: { device_id: id },
        })),
      isRight: (body) => body.includes('"task":null'),
    },
    {
      name: 'model read',
      goal: 0.08,
      route: '/api/v1/models/:model',
      asks: () => [{ method: 'GET', path: `/api/v1/models/${modelId}` }],
      isRight: (body) => body.includes(modelId),
    },
    {
      name: 'model create',
      goal: 0.02,
      route: '/api/v1/models',
      asks(n) {
        run += 1;
        const made = run;
        return range(2_000).map((i) => ({
          method: 'POST',
          path: '/api/v1/models',
          body: { name: `made ${made} ${n} ${i}`, framework: 'onnx', use_case: 'bench' },
        }));
      },
      isRight: (body) => body.includes('"name":"made '),
    },
  ];
}

const shown = ({ perSecond, p50Ms, p99Ms }: Loaded) => `${Math.round(perSecond)}/s, p50 ${p50Ms} ms, p99 ${p99Ms} ms`;

try {
  printConditions({ durability: 'fsync on', preset: isFull ? 'full' : 'quick', connections: String(CONNECTIONS) });
  const { modelId, ids } = await prepare();
  const scenarios = scenariosFor(modelId, ids);
  const bodies: [Scenario, unknown][] = [];
  for (const one of scenarios) bodies.push([one, await call(one.asks(0).at(-1)!)]);
  const [child, bareUrl] = await bare(bodies);
  try {
    for (const { name, goal, asks, isRight } of scenarios) {
      await load({ url: stack.url, key, seconds: WARM_UP_S, asks, isRight });
      const ours = await load({ url: stack.url, key, seconds: SECONDS, asks, isRight });
      await load({ url: bareUrl, key, seconds: WARM_UP_S, asks, isRight });
      const theirs = await load({ url: bareUrl, key, seconds: SECONDS, asks, isRight });
      const ratio = ours.perSecond / theirs.perSecond;
      const result = `${shown(ours)}; bare ${shown(theirs)}; ratio ${ratio.toFixed(3)}`;
      printResult(name, result, `≥ ${goal}`, ratio >= goal);
    }
  } finally {
    child.kill();
  }
} finally {
  await stack.stop();
  removeHome(home);
}
