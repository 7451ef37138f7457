/** A tag changes whenever what is shown does, whatever made it change; and one that was read is one that If-Match takes. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { OWN, openTestApi, SDK, type Answer, type TestApi } from './testApi.ts';

let t: TestApi;
beforeAll(async () => {
  t = await openTestApi();
});
afterAll(() => t.close());

const tagOf = ({ headers }: Answer) => headers.get('etag')!;
const ifNone = (path: string, tag: string) => t.call('GET', path, { headers: { 'if-none-match': tag } });
const stage = (percent: number, ramp = '0s') => ({ percent, ramp, min_bake: '1h', max_bake: '2h' });

describe('the tag of a model', () => {
  it('changes with latest_version, which facts of a version change', async () => {
    await t.published('tagged', '1.0.0', '1.1.0');
    const path = `${OWN}/models/tagged`;
    const before = await t.call('GET', path);
    expect(before.body).toMatchObject({ latest_version: '1.1.0' });
    expect((await ifNone(path, tagOf(before))).status).toBe(304);
    // A first release that is rolled back: no fact on the model's own stream.
    const body = { version: '1.1.0', stages: [stage(10), stage(100)], start: true };
    const { body: made } = await t.call('POST', `${OWN}/models/tagged/rollouts`, { body });
    await t.call('POST', `${OWN}/rollouts/${Number(made['id'])}/rollback`, { body: { reason: 'bad' } });
    const after = await ifNone(path, tagOf(before));
    expect([after.status, after.body['latest_version']]).toEqual([200, '1.0.0']);
    expect(after.body['stream_version']).toBe(before.body['stream_version']);
  });
});

describe('the tag of a rollout', () => {
  it('changes while its ramp and its clock run, and stands when they stand', async () => {
    await t.published('ramping', '1.0.0');
    const body = { version: '1.0.0', stages: [stage(100, '1s')], start: true };
    const { body: made } = await t.call('POST', `${OWN}/models/ramping/rollouts`, { body });
    const path = `${OWN}/rollouts/${Number(made['id'])}`;
    let before = await t.call('GET', path);
    for (;;) {
      const next = await ifNone(path, tagOf(before));
      if (next.status === 304) continue;
      const [was, is] = [before.body['clock_ms'], next.body['clock_ms']];
      expect(is).not.toBe(was);
      before = next;
      break;
    }
    await t.call('POST', `${path}/pause`, { body: { reason: 'look' } });
    const still = await t.call('GET', path);
    expect((await ifNone(path, tagOf(still))).status).toBe(304);
  });

  it('is taken by If-Match as it was read, and by what a command answered', async () => {
    await t.published('matched', '1.0.0');
    const body = { version: '1.0.0', stages: [stage(10), stage(50), stage(100)], start: true };
    const made = await t.call('POST', `${OWN}/models/matched/rollouts`, { body });
    const path = `${OWN}/rollouts/${Number(made.body['id'])}`;
    const step = { override: true, reason: 'urgent' };
    const advance = (tag: string) => t.call('POST', `${path}/advance`, { body: step, headers: { 'if-match': tag } });
    const read = await t.call('GET', path);
    const advanced = await advance(tagOf(read));
    expect(advanced.status).toBe(200);
    expect((await advance(tagOf(read))).body).toMatchObject({ status: 412, code: 'precondition_failed' });
    expect((await advance(tagOf(advanced))).status).toBe(200);
  });

  it('and what it shows forget a pause that has ended', async () => {
    await t.published('ended', '1.0.0');
    const body = { version: '1.0.0', stages: [stage(100)], start: true };
    const { body: made } = await t.call('POST', `${OWN}/models/ended/rollouts`, { body });
    const path = `${OWN}/rollouts/${Number(made['id'])}`;
    await t.call('POST', `${path}/pause`, { body: { reason: 'look' } });
    expect((await t.call('GET', path)).body).toMatchObject({ paused: { reason: 'look' } });
    await t.call('POST', `${path}/abort`, { body: { reason: 'enough' } });
    expect((await t.call('GET', path)).body).toMatchObject({ paused: null, aborted: { reason: 'enough' } });
  });
});

describe('latest', () => {
  it('says what is published where that is only a pre-release, or was rolled back', async () => {
    await t.published('previews', '1.0.0-rc.1');
    const path = `${SDK}/models/previews/versions/latest`;
    expect((await t.call('GET', path)).body).toMatchObject({
      code: 'version_not_found',
      detail: expect.stringContaining('a pre-release is never the latest: 1.0.0-rc.1') as string,
    });
    await t.published('empty');
    expect((await t.call('GET', `${SDK}/models/empty/versions/latest`)).body).toMatchObject({
      detail: expect.stringContaining('no version is published') as string,
    });
  });
});
