/** A deploy as existing SDKs ask for it. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openTestApi, SDK, type Body, type CallOptions, type TestApi } from './testApi.ts';

let t: TestApi;
beforeAll(async () => {
  t = await openTestApi();
});
afterAll(() => t.close());

describe('a deploy by SDK', () => {
  const deploy = (model: string, body: Body, options: CallOptions = {}) =>
    t.call('POST', `${SDK}/models/${model}/rollouts`, { body, idempotent: false, ...options });
  const everyone = (version: string) => ({
    version,
    rollout_percentage: 100,
    target_percentage: 100,
    increment_step: 100,
    start_immediately: true,
  });

  it('brings 100 % to everyone at once, and says that nobody judged it', async () => {
    await t.published('sdk-all', '1.0.0');
    const answer = await deploy('sdk-all', everyone('1.0.0'));
    expect(answer.status).toBe(201);
    expect(answer.body).toMatchObject({ status: 'completed', percentage: 100, warnings: ['not judged'] });
    expect((await t.call('GET', `${SDK}/models/sdk-all`)).body).toMatchObject({ stable_version: '1.0.0' });
    const again = await deploy('sdk-all', everyone('1.0.0'));
    expect([again.status, again.body['id']]).toEqual([200, answer.body['id']]);
  });

  it('starts in stages, once, however often it is asked', async () => {
    await t.published('sdk-staged', '1.0.0', '1.1.0');
    await deploy('sdk-staged', everyone('1.0.0'));
    const call = {
      version: '1.1.0',
      rollout_percentage: 25,
      target_percentage: 100,
      increment_step: 25,
      start_immediately: true,
    };
    const [a, b] = await Promise.all([deploy('sdk-staged', call), deploy('sdk-staged', call)]);
    expect(new Set([a.body['id'], b.body['id']]).size).toBe(1);
    expect((await deploy('sdk-staged', call)).body['id']).toBe(a.body['id']);
    expect(a.body).toMatchObject({
      status: 'active',
      rollout_percentage: 25,
      increment_step: 25,
      previous_version: '1.0.0',
    });
    const other = await deploy('sdk-staged', { ...call, rollout_percentage: 50 });
    expect(other.body).toMatchObject({ status: 409, code: 'conflict', rollout_id: a.body['id'] });
    const path = `${SDK}/models/sdk-staged/rollouts`;
    expect((await t.call('GET', `${path}/active`)).body).toMatchObject([{ id: a.body['id'] }]);
    expect((await t.call('GET', `${path}?status_filter=running`)).body).toMatchObject([{ version: '1.1.0' }]);
    const one = `${path}/${String(a.body['id'])}`;
    expect((await t.call('POST', `${one}/pause`, { body: {}, idempotent: false })).body).toMatchObject({
      status: 'paused',
    });
    expect((await t.call('POST', `${one}/resume`, { body: {}, idempotent: false })).body).toMatchObject({
      status: 'active',
    });
    expect((await t.call('GET', one)).body).toMatchObject({ id: a.body['id'], status: 'active' });
    const promoted = await deploy('sdk-staged', everyone('1.1.0'));
    expect(promoted.body).toMatchObject({ id: a.body['id'], status: 'completed', warnings: ['not judged'] });
  });

  it('of an older good version is the way back, and never brings the bad one back', async () => {
    await t.published('sdk-back', '1.0.0', '1.1.0');
    await deploy('sdk-back', everyone('1.0.0'));
    await deploy('sdk-back', everyone('1.1.0'));
    const versions = await t.call('GET', `${SDK}/models/sdk-back/versions`);
    expect(versions.body).toMatchObject({
      versions: [{ version: '1.1.0', status: 'published' }, { version: '1.0.0' }],
    });
    const back = await deploy('sdk-back', everyone('1.0.0'));
    expect(back.status).toBe(200);
    expect(back.body).toMatchObject({
      kind: 'rollback',
      status: 'rolling_back',
      version: '1.0.0',
      previous_version: '1.1.0',
    });
    expect((await t.call('GET', `${SDK}/models/sdk-back/versions/latest`)).body).toMatchObject({ version: '1.0.0' });
    expect((await t.call('GET', `${SDK}/models/sdk-back/versions/1.1.0`)).body).toMatchObject({
      status: 'rolled_back',
      lifecycle_state: 'Rollback',
    });
    expect((await deploy('sdk-back', everyone('1.1.0'))).body).toMatchObject({ status: 409, code: 'guard_refused' });
    await t.settle();
    const after = await t.call('GET', `${SDK}/models/sdk-back/versions`);
    expect(after.body).toMatchObject({ versions: [{ version: '1.0.0' }, { version: '1.1.0' }] });
    expect((await t.call('GET', `${SDK}/models?org_id=default`)).body['total']).toBeGreaterThan(0);
  });

  it('unstarted waits for its start, and a newer one takes its place', async () => {
    await t.published('sdk-later', '1.0.0');
    const call = { ...everyone('1.0.0'), start_immediately: false };
    const first = await deploy('sdk-later', call);
    expect(first.body).toMatchObject({ status: 'pending', rollout_percentage: 0 });
    const second = await deploy('sdk-later', { ...call, rollout_percentage: 10, increment_step: 90 });
    expect((await t.call('GET', `${SDK}/models/sdk-later/rollouts?status_filter=aborted`)).body).toMatchObject([
      { id: first.body['id'] },
    ]);
    const path = `${SDK}/models/sdk-later/rollouts/${String(second.body['id'])}/start`;
    expect((await t.call('POST', path, { body: {}, idempotent: false })).body).toMatchObject({ status: 'active' });
  });

  it('publishing a published version changes nothing', async () => {
    await t.published('sdk-published', '1.0.0');
    const before = await t.facts();
    const answer = await t.call('POST', `${SDK}/models/sdk-published/versions/1.0.0/publish`, {
      body: {},
      idempotent: false,
    });
    expect(answer.body).toMatchObject({ status: 'published', version: '1.0.0' });
    expect(await t.facts()).toBe(before);
  });
});
