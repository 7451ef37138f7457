/** What phones ask at their start: static forms with every member that a strict decoder wants, and a bucket as the server counts it. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bucketOf } from '../../domain/rollout/assignment.ts';
import { OWN, openTestApi, SDK, textOf, type TestApi } from './testApi.ts';

let t: TestApi;
let modelId: string;
let device: string;
let rollout: number;
beforeAll(async () => {
  t = await openTestApi();
  modelId = await t.published('start-up', '1.0.0');
  const registration = { device_identifier: 'phone', org_id: 'default', platform: 'ios' };
  device = textOf((await t.call('POST', `${SDK}/devices/register`, { body: registration, as: 'device' })).body, 'id');
  const stages = [{ percent: 50, ramp: '0s', min_bake: '1h', max_bake: '2h' }, { percent: 100 }];
  const made = await t.call('POST', `${OWN}/models/start-up/rollouts`, {
    body: { version: '1.0.0', stages, start: true },
  });
  rollout = Number(made.body['id']);
  await t.settle();
});
afterAll(() => t.close());

const ask = (path: string) => t.call('GET', path, { as: 'device' });

describe('the start of a phone', () => {
  it('is answered a policy, and no groups', async () => {
    expect((await ask(`${SDK}/settings/org/default/device-policy`)).body).toEqual({
      battery_threshold: 20,
      network_policy: 'wifi_only',
    });
    expect((await ask(`${SDK}/settings/org/org_other/device-policy`)).status).toBe(403);
    expect((await ask(`${SDK}/devices/${device}/groups`)).body).toEqual({ groups: [], memberships: [], count: 0 });
    expect((await ask(`${SDK}/devices/nobody/groups`)).status).toBe(404);
  });

  it('has no optimised configuration, which every SDK takes', async () => {
    const answer = await ask(`${SDK}/models/start-up/optimized-config/iphone15`);
    expect(answer).toMatchObject({ status: 404, body: { code: 'config_not_found' } });
    expect(answer.body['detail']).not.toBe('Not Found');
  });

  it.each(['', SDK])('has its bucket and is not pinned, at "%s"', async (mount) => {
    const of = `${mount}/devices/phone/models/start-up`;
    const bucket = bucketOf(modelId, String(rollout), device);
    expect((await ask(`${of}/bucket`)).body).toEqual({
      device_id: device,
      model_id: modelId,
      bucket,
      device_bucket: Math.floor(bucket / 100),
    });
    const said = { version: '9.9.9', variant: 'default', assignment_reason: 'sdk_registration' };
    const told = await t.call('GET', `${of}/version`, { as: 'device' });
    const answer = await t.call('POST', `${of}/assign`, { body: said, as: 'device', idempotent: false });
    expect(answer.status).toBe(200);
    expect(answer.body['version']).toBe(told.body['version']);
    expect(answer.body).toMatchObject({ pinned: false });
    expect((await t.call('POST', `${of}/assign`, { body: said, as: 'operator' })).status).toBe(501);
  });
});
