/** What devices counted arrives once and whole: over a way that loses, doubles, delays and reorders, and a server that is killed. */
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { Device } from '../../sdk/index.ts';
import { createPool, type Pool } from '../../store/connect.ts';
import { queryableOf } from '../../store/queryable.ts';
import { createTelemetryReader } from '../../store/telemetry/telemetryReader.ts';
import { drawsFrom } from '../support/draws.ts';
import { startServer, type ServerProcess } from '../support/serverProcess.ts';
import { createDatabase, type TestDatabase } from '../support/services.ts';
import { OWN } from './testApi.ts';

let database: TestDatabase;
let pool: Pool;
let server: ServerProcess;
beforeAll(async () => {
  database = await createDatabase();
  pool = createPool({ connectionString: database.appUrl, max: 2 });
  server = await startServer(database);
});
afterAll(async () => {
  server?.child.kill('SIGKILL');
  await pool.end();
  await database.drop();
});

const VERSIONS = ['1.0.0', '1.1.0'];
const DEVICES = 8;
const LIVES = 5;
const KILLS = 2;
/** Clocks of devices are anywhere; nothing may depend on them. */
const YEARS = [1970, 2040, 2026];

it('every report that was acknowledged is counted once', { timeout: 300_000 }, async () => {
  const draw = drawsFrom(inject('seed'));
  let modelId = '';
  await server.soon('the model to be made', async () => {
    const model = { name: 'counted', framework: 'onnx', use_case: 'test' };
    const made = await server.ask('POST', `${OWN}/models`, model, { 'idempotency-key': 'counted' });
    modelId = ((await made.json()) as { id: string }).id; // the answer fits its schema
    return made.ok;
  });

  await server.soon('devices to find it', async () => {
    const device = { deviceIdentifier: 'probe', platform: 'ios' };
    const probe = new Device({ ...device, apiKey: server.key, baseUrl: server.url });
    probe.countLoad('counted', '1.0.0', true);
    return (await probe.flush()).length === 1;
  });

  let sends = 0;
  let nextKill = 30 + Math.floor(draw() * 60);
  let kills = 0;
  let restarting: Promise<void> | undefined;
  /** SIGKILL while reports are under way; the next server is another process on another port. */
  async function killNow(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, draw() * 15));
    kills += 1;
    server.child.kill('SIGKILL');
    server = await startServer(database);
    nextKill = sends + 30 + Math.floor(draw() * 60);
    restarting = undefined;
  }

  const stragglers: Promise<unknown>[] = [];
  /** To the server that runs now. Reports are sent twice, their answers are lost, and some come again much later. */
  const way: typeof fetch = async (url, init) => {
    const { pathname, search } = new URL(url instanceof Request ? url.url : url);
    const send = () => {
      const headers = new Headers(init?.headers);
      headers.set('authorization', `Bearer ${server.key}`);
      return fetch(server.url + pathname + search, { ...init, headers, signal: AbortSignal.timeout(10_000) });
    };
    if (!pathname.endsWith('/reports')) return send();
    const luck = draw();
    if (luck < 0.1) throw new TypeError('lost on the way there');
    if (luck < 0.25) stragglers.push(send().catch(() => undefined)); // doubled, in any order
    const sending = send();
    sends += 1;
    if (kills < KILLS && sends >= nextKill) restarting ??= killNow();
    const answer = await sending;
    if (luck > 0.9) {
      const later = async () => {
        await new Promise((resolve) => setTimeout(resolve, draw() * 400));
        await send();
      };
      stragglers.push(later().catch(() => undefined));
    }
    if (luck > 0.75) throw new TypeError('the answer was lost');
    return answer;
  };

  const truth = new Map<string, { ok: number; failed: number }>();
  const { now } = Date;
  Date.now = () => Date.UTC(YEARS[Math.floor(draw() * YEARS.length)]!);
  try {
    await Promise.all(
      Array.from({ length: DEVICES }, async (_, i) => {
        for (let life = 0; life < LIVES || kills < KILLS; life += 1) {
          const device = new Device({
            ...{ baseUrl: 'http://device.test', deviceIdentifier: `phone-${i}`, platform: 'ios' },
            ...{ fetch: way, attempts: 1 },
          });
          for (let turn = 0; turn < 1 + Math.floor(draw() * 3); turn += 1) {
            for (const version of VERSIONS) {
              const key = `phone-${i} ${version}`;
              const sum = truth.get(key) ?? { ok: 0, failed: 0 };
              truth.set(key, sum);
              for (let n = Math.floor(draw() * 30); n >= 0; n -= 1) {
                const ok = draw() < 0.9;
                sum[ok ? 'ok' : 'failed'] += 1;
                device.report('counted', version, { ok, latencyMs: 5 });
              }
            }
            for (let isSent = false; !isSent;) {
              try {
                await device.flush();
                isSent = true;
              } catch (error) {
                // Anything but a way that fails is a fault of ours.
                expect(['unreachable', 'timeout', 'unavailable', 'starting', 'projection_behind']).toContain(
                  (error as { code?: string }).code,
                );
                await new Promise((resolve) => setTimeout(resolve, 20));
              }
            }
          }
        }
      }),
    );
  } finally {
    Date.now = now;
  }
  await restarting;
  await Promise.all(stragglers);
  expect(kills).toBe(KILLS);

  const reader = createTelemetryReader(queryableOf(pool));
  const { rows } = await pool.query<{ id: string; identifier: string }>(
    `SELECT id, identifier FROM ops.devices WHERE identifier LIKE 'phone-%'`,
  );
  const counted = new Map<string, unknown>();
  for (const { id, identifier } of rows) {
    for (const version of VERSIONS) {
      counted.set(`${identifier} ${version}`, (await reader.readTotals(id, modelId, version))?.predictions);
    }
  }
  expect(new Map([...counted].sort())).toEqual(new Map([...truth].sort()));
});
