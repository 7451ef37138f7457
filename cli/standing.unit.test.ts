/** What people read of how a thing stands: why it is paused, by whom and since when. */
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { startRecorder, type Recorder } from './recorder.fixture.ts';

let recorder: Recorder;
beforeAll(async () => {
  recorder = await startRecorder();
});
afterAll(() => recorder.close());
beforeEach(() => recorder.stand({}));

const at = '2026-01-01T00:00:00.000Z';
const paused = { reason: 'night', by: 'key_1', at };

it('`train get`, and following a run, say why it is paused', async () => {
  recorder.stand({ status: 'paused', paused, ended: null });
  expect((await recorder.run(['train', 'get', 'r'])).out).toContain(`night (by key_1, ${at})`);
  const watched = await recorder.run(['train', 'watch', 'r']);
  expect(watched).toMatchObject({ code: 4, out: expect.stringContaining(`night (by key_1, ${at})`) as string });
});

it('`train get` says why a run was aborted', async () => {
  recorder.stand({ status: 'aborted', paused: null, ended: { kind: 'aborted', reason: 'no_round', at } });
  expect((await recorder.run(['train', 'get', 'r'])).out).toContain(`aborted    no_round (${at})`);
});

it('`rollout get` says since when it is paused, and `version get` why a publication was refused', async () => {
  recorder.stand({ status: 'paused', paused: { cause: 'manual', reason: 'lunch', at } });
  expect((await recorder.run(['rollout', 'get', '7'])).out).toContain(`manual: lunch (${at})`);
  recorder.stand({ publication: { n: 2, state: 'refused', code: 'gate_failed' } });
  expect((await recorder.run(['version', 'get', 'm', '1.0.0'])).out).toContain('publication 2: gate_failed');
});

it('`model get` tells a model with pre-releases only from an empty one', async () => {
  recorder.stand({ latest_version: null, versions: ['1.0.0-rc.1'] });
  expect((await recorder.run(['model', 'get', 'm'])).out).toContain('no release that is good');
  recorder.stand({ latest_version: null, versions: [] });
  expect((await recorder.run(['model', 'get', 'm'])).out).toMatch(/latest {5}–$/m);
});
