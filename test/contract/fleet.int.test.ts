/** A fleet that cannot be counted now: another session holds its tables, so every count waits for real. */
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { OWN, openTestApi, SDK, type TestApi } from './testApi.ts';

let t: TestApi;
let holder: pg.Client;
let watcher: pg.Client;
let rolloutId: number;
beforeAll(async () => {
  t = await openTestApi();
  await t.published('fleet', '1.0.0');
  const body = { version: '1.0.0', stages: [{ percent: 50, ramp: '0s', min_bake: '1h', max_bake: '2h' }], start: true };
  rolloutId = Number((await t.call('POST', `${OWN}/models/fleet/rollouts`, { body })).body['id']);
  await t.settle();
  [holder, watcher] = [
    new pg.Client({ connectionString: t.adminUrl }),
    new pg.Client({ connectionString: t.adminUrl }),
  ];
  await Promise.all([holder.connect(), watcher.connect()]);
  await holder.query('BEGIN');
  await holder.query('LOCK TABLE ops.devices, ops.version_told IN ACCESS EXCLUSIVE MODE');
});
afterAll(async () => {
  await Promise.all([holder.end(), watcher.end()]);
  await t.close();
});

const waiting = async () => {
  // Not those that look for revoked tokens, whoever asks.
  const text = `SELECT count(*)::int AS n FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE NOT granted AND relation = 'ops.devices'::regclass AND application_name NOT LIKE '%listen tokens%'`;
  return (await watcher.query<{ n: number }>(text)).rows[0]!.n;
};

describe('while the fleet cannot be counted', () => {
  it('a pause is answered while the count waits, with a number', async () => {
    const answer = await t.call('POST', `${SDK}/models/fleet/rollouts/${rolloutId}/pause`, { body: {} });
    expect(await waiting()).toBe(1);
    expect(answer.status).toBe(200);
    expect(answer.body).toMatchObject({ status: 'paused', total_devices: 0, affected_devices: 0 });
  });

  it('other answers wait a moment and no longer', async () => {
    const one = await t.call('GET', `${SDK}/models/fleet/rollouts/${rolloutId}`);
    expect(one.body).toMatchObject({ total_devices: 0 });
    expect((await t.call('GET', `${SDK}/models/fleet/rollouts`)).status).toBe(200);
  });

  it('the kill switch works, and the post-mortem says that it could not count', async () => {
    const killed = await t.call('POST', `${OWN}/models/fleet/rollback`, { body: { reason: 'crashes' } });
    expect(killed.status).toBe(200);
    const draft = await t.call('GET', `${OWN}/rollouts/${rolloutId}/post-mortem`);
    expect(draft.body).toMatchObject({ outcome: 'rolled_back', devices: null });
  });

  it('counts again as soon as it can', async () => {
    await holder.query('ROLLBACK');
    const body = { device_identifier: 'phone-1', platform: 'ios' };
    expect((await t.call('POST', `${SDK}/devices/register`, { body })).status).toBeLessThan(300);
    await expect
      .poll(async () => (await t.call('GET', `${SDK}/models/fleet/rollouts/${rolloutId}`)).body['total_devices'])
      .toBe(1);
    const draft = await t.call('GET', `${OWN}/rollouts/${rolloutId}/post-mortem`);
    expect(draft.body).toMatchObject({ devices: { told: 0, back: 0, outstanding: 0 } });
  });
});
