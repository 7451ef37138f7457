/** The database's host vanishes: nothing is closed, nothing answers. Who stops something is told in time, and can stop soon after. */
import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { clusterOf } from '../support/services.ts';
import { openRelay, type Relay } from '../support/relay.ts';
import { until } from '../support/log.ts';
import { OWN, openTestApi, SDK, type Answer, type TestApi } from './testApi.ts';

const VANISHED_MS = 15_000;
const ANSWERED_MS = 10_000;
const BACK_MS = 2_000;

let relay: Relay;
let t: TestApi;
let admin: pg.Client;
const rollouts = new Map<string, number>();

beforeAll(async () => {
  relay = await openRelay(clusterOf().appUrl);
  t = await openTestApi((url) => relay.url(url));
  admin = new pg.Client({ connectionString: t.adminUrl });
  await admin.connect();
  for (const name of ['by-rollout', 'by-model', 'mid-append', 'paused', 'again']) {
    await t.published(name, '1.0.0');
    const body = { version: '1.0.0', stages: [{ percent: 100, ramp: '0s', min_bake: '1h', max_bake: '2h' }] };
    const { body: made } = await t.call('POST', `${OWN}/models/${name}/rollouts`, { body: { ...body, start: true } });
    rollouts.set(name, Number(made['id']));
  }
  await t.settle();
});
afterAll(async () => {
  relay.resume();
  await admin.end();
  await t.close();
  await relay.close();
});

const idOf = (name: string) => rollouts.get(name)!;
const reason = { reason: 'it crashes on start' };
/** A stop under one idempotency key, so that a repeat is the same command. */
const stop = (path: string) => {
  const headers = { 'idempotency-key': randomUUID() };
  return () => t.call('POST', path, { body: reason, headers });
};
const rolledBack = async (name: string) => {
  const text = `SELECT count(*)::int AS n FROM store.events WHERE type = 'RolloutRolledBack' AND stream_id = $1`;
  return (await admin.query<{ n: number }>(text, [`rollout-${idOf(name)}`])).rows[0]!.n;
};
const after = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Tries again until one works that began in time after the return. */
async function worksSoon(again: () => Promise<Answer>): Promise<Answer> {
  const returned = performance.now();
  let answer: Answer;
  do answer = await again();
  while (answer.status === 503 && performance.now() - returned < BACK_MS);
  return answer;
}

describe('while the host of the database has vanished', () => {
  const stops = () => [
    stop(`${OWN}/rollouts/${idOf('by-rollout')}/rollback`),
    stop(`${OWN}/models/by-model/rollback`),
    stop(`${OWN}/rollouts/${idOf('paused')}/pause`),
  ];

  it('every call is answered within 10 s, and both kill switches work within 2 s of its return', async () => {
    const calls = stops();
    // Connections that were in use before it vanished are the ones that hang.
    expect((await t.call('POST', `${OWN}/rollouts/${idOf('again')}/pause`, { body: reason })).status).toBe(200);
    relay.swallow();
    const vanished = after(VANISHED_MS);
    let isLate = false;
    const clock = setTimeout(() => (isLate = true), ANSWERED_MS);
    const asked = [
      ...calls.map((call) => call()),
      t.call('GET', `${OWN}/rollouts/${idOf('by-rollout')}`),
      t.call('GET', `${OWN}/models`),
      t.call('POST', `${OWN}/models`, { body: { name: 'new', framework: 'f', use_case: 'u' } }),
      t.call('GET', `${SDK}/models/by-model/rollouts`),
    ];
    const open = [fetch(`${t.url}/livez`), fetch(`${t.url}/metrics`)];
    for (const answer of await Promise.all(asked)) {
      expect(answer.status).toBe(503);
      expect(answer.body).toMatchObject({ code: 'unavailable', retryable: true });
    }
    expect((await Promise.all(open)).map((a) => a.status)).toEqual([200, 200]);
    expect((await t.call('GET', '/readyz', { as: null })).status).toBe(503);
    expect({ isLate, isSwallowing: relay.isSwallowing }).toEqual({ isLate: false, isSwallowing: true });
    clearTimeout(clock);

    await vanished;
    relay.resume();
    for (const answer of await Promise.all(calls.map(worksSoon))) expect(answer.status).toBe(200);
    expect([await rolledBack('by-rollout'), await rolledBack('by-model')]).toEqual([1, 1]);
  });

  it('a stop whose answer was lost says that nobody knows, and its repeat finds out', async () => {
    const call = stop(`${OWN}/rollouts/${idOf('mid-append')}/rollback`);
    relay.swallowAfter(reason.reason); // only the append carries it
    const lost = await call();
    expect(relay.isSwallowing).toBe(true);
    expect(lost.status).toBe(503);
    expect(lost.body).toMatchObject({ code: 'unavailable', appended: 'unknown' });
    expect(await rolledBack('mid-append')).toBe(1);
    relay.resume();
    const found = await worksSoon(call);
    expect(found.status).toBe(200);
    expect(found.headers.get('idempotency-replayed')).toBe('true');
    expect(await rolledBack('mid-append')).toBe(1);
  });

  it('everything works again afterwards, and the log verifies', async () => {
    await until('every pool works', async () => {
      const paths = [`${OWN}/models`, `${OWN}/rollouts`, '/readyz'];
      return (await Promise.all(paths.map((path) => t.call('GET', path)))).every((a) => a.status === 200);
    });
    await t.settle();
    const report = await t.api.deps.verify({});
    expect(report.findings).toEqual([]);
    expect(report.passed).toBe(true);
  });
});
