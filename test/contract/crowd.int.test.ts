/** Many who read, and one who stops something. */
import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { until } from '../support/log.ts';
import { OWN, openTestApi, SDK, type Answer, type TestApi } from './testApi.ts';

let t: TestApi;
let admin: pg.Client;
const rollouts: number[] = [];
beforeAll(async () => {
  t = await openTestApi();
  admin = new pg.Client({ connectionString: t.adminUrl });
  await admin.connect();
  for (const name of ['crowded', 'crowded-too']) {
    await t.published(name, '1.0.0');
    const body = {
      version: '1.0.0',
      stages: [{ percent: 50, ramp: '0s', min_bake: '1h', max_bake: '2h' }],
      start: true,
    };
    rollouts.push(Number((await t.call('POST', `${OWN}/models/${name}/rollouts`, { body })).body['id']));
  }
  await t.settle();
});
afterAll(async () => {
  await admin.end();
  await t.close();
});

const MANY = 300;
const ask = async (path: string) => {
  const answer = await fetch(t.url + path);
  await answer.text();
  return answer.status;
};
const asked = (path: string) => Promise.all(Array.from({ length: MANY }, () => ask(path)));

describe('what anybody may ask', () => {
  it('is made a few times at most, however many ask at once', async () => {
    const { deps, app } = t.api;
    const collections = vi.spyOn(deps.metrics.registry, 'metrics');
    const looks = vi.spyOn(deps, 'parts');
    const descriptions = vi.spyOn(app, 'swagger');
    const began = performance.now();
    for (const path of ['/metrics', '/readyz', '/openapi.json']) {
      expect(new Set(await asked(path))).toEqual(new Set([200]));
    }
    const most = 1 + Math.ceil((performance.now() - began) / 1_000); // one a second
    expect(most).toBeLessThan(MANY / 4);
    expect(collections.mock.calls.length).toBeLessThanOrEqual(most);
    expect(looks.mock.calls.length).toBeLessThanOrEqual(most);
    expect(descriptions.mock.calls.length).toBeLessThanOrEqual(1);
    expect(collections.mock.calls.length + looks.mock.calls.length).toBeGreaterThanOrEqual(2);
  });
});

describe('while devices hold every connection that devices and readers have', () => {
  const waiting = async () => {
    const text = `SELECT count(*)::int AS n FROM pg_locks WHERE NOT granted AND relation = 'ops.devices'::regclass`;
    return (await admin.query<{ n: number }>(text)).rows[0]!.n;
  };
  const register = () => {
    const body = { device_identifier: randomUUID(), platform: 'ios' };
    return t.call('POST', `${SDK}/devices/register`, { body });
  };
  const reason = { reason: 'it crashes' };
  const stops: [string, () => Promise<Answer>][] = [
    ['a pause', () => t.call('POST', `${OWN}/rollouts/${rollouts[0]}/pause`, { body: reason })],
    ['the kill switch by rollout', () => t.call('POST', `${OWN}/rollouts/${rollouts[0]}/rollback`, { body: reason })],
    ['the kill switch by model', () => t.call('POST', `${OWN}/models/crowded-too/rollback`, { body: reason })],
  ];
  it.each(stops)('%s works', async (_, stop) => {
    await admin.query('BEGIN');
    await admin.query('LOCK TABLE ops.devices IN ACCESS EXCLUSIVE MODE');
    const devices = Array.from({ length: 30 }, () => register());
    await until('the devices wait', async () => (await waiting()) >= 6);
    const answer = await stop();
    expect(await waiting()).toBeGreaterThanOrEqual(6);
    expect(answer.status).toBe(200);
    await admin.query('ROLLBACK');
    await Promise.all(devices);
  });
});
