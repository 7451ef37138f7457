/** `POST /models/{m}/rollback` on both doors, and registering with `device_id` alone: what users of the public SDKs' documents send. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { OWN, openTestApi, SDK, textOf, type TestApi } from './testApi.ts';

let t: TestApi;
beforeAll(async () => {
  t = await openTestApi();
});
afterAll(() => t.close());

const everyone = async (model: string, version: string) => {
  const all = { rollout_percentage: 100, target_percentage: 100, increment_step: 100, start_immediately: true };
  const { status } = await t.call('POST', `${SDK}/models/${model}/rollouts`, { body: { version, ...all } });
  expect(status).toBe(201);
};

/** 1.0.0, 1.1.0, 1.2.0, each for everyone in its turn. */
async function three(model: string): Promise<void> {
  const versions = ['1.0.0', '1.1.0', '1.2.0'];
  await t.published(model, ...versions);
  for (const version of versions) await everyone(model, version);
}
const back = (model: string, body: object, door = SDK) =>
  t.call('POST', `${door}/models/${model}/rollback`, { body, as: 'operator', idempotent: false });

describe('a rollback by model', () => {
  it.each([
    ['none', { reason: 'crashes' }, '1.1.0'],
    ['to_version', { to_version: '1.0.0' }, '1.0.0'],
    ['target_version', { target_version: '1.0.0', reason: 'crashes' }, '1.0.0'],
  ])('with %s goes to the version meant, and marks the one it leaves', async (name, body, target) => {
    await three(`back-${name}`);
    expect(await back(`back-${name}`, body)).toMatchObject({
      status: 200,
      body: {
        kind: 'rollback',
        status: 'rolling_back',
        version: target,
        previous_version: '1.2.0',
        rollout_percentage: 100,
      },
    });
    const latest = await t.call('GET', `${SDK}/models/back-${name}/versions/1.2.0`);
    expect(latest.body).toMatchObject({ status: 'rolled_back', lifecycle_state: 'Rollback' });
  });

  it.each([SDK, OWN])('is 409 where there is nothing to go back from or to, at %s', async (door) => {
    const model = `nothing-${door === SDK ? 'sdk' : 'own'}`;
    await t.published(model, '1.0.0');
    const before = await t.facts();
    const from = await back(model, { reason: 'r' }, door);
    expect(from).toMatchObject({
      status: 409,
      body: { code: 'guard_refused', guards: [{ name: 'inForce', met: false }] },
    });
    expect(await t.facts()).toBe(before);
    await everyone(model, '1.0.0');
    expect(await back(model, { reason: 'r' }, door)).toMatchObject({ status: 409, body: { code: 'guard_refused' } });
    expect((await back('nobody', { reason: 'r' }, door)).status).toBe(404);
  });
});

it('a device that sends device_id alone is the same at every start', async () => {
  const register = (body: object) =>
    t.call('POST', `${SDK}/devices/register`, { body, as: 'device', idempotent: false });
  const first = await register({ device_id: 'sensor-7', platform: 'linux' });
  expect(first).toMatchObject({ status: 201, body: { device_identifier: 'sensor-7' } });
  expect(await register({ device_id: 'sensor-7', platform: 'linux' })).toMatchObject({
    status: 200,
    body: { id: textOf(first.body, 'id') },
  });
  const both = await register({ device_id: 'sensor-8', device_identifier: 'sensor-9' });
  expect(both.body).toMatchObject({ device_identifier: 'sensor-9' });
});
