/** What people read of how a thing stands: why it is paused, by whom and since when. */
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { sentenceOf } from './commands/consequence.ts';
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

/** Answers `yes` at a terminal, to what the server would do. */
async function asked(argv: readonly string[], would: readonly unknown[], answer: string) {
  recorder.answer((seen, response) => {
    if (seen.query['dry_run'] !== 'true') return false;
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ would_append: would, guards: [] }));
    return true;
  });
  const wasTerminal = process.stdin.isTTY;
  process.stdin.isTTY = true;
  // Whenever the question is read, it is answered.
  const answering = setInterval(() => process.stdin.emit('data', `${answer}\n`), 5);
  try {
    return await recorder.run(argv);
  } finally {
    clearInterval(answering);
    process.stdin.isTTY = wasTerminal;
    recorder.answer(undefined);
  }
}
const changes = (ran: { seen: readonly { method: string; query: object }[] }) =>
  ran.seen.filter((s) => s.method === 'POST' && !('dry_run' in s.query)).length;
const withdrawn = [
  { stream: 'rollout-7', type: 'RolloutAborted', data: { reason: 'r' } },
  { stream: 'version-m@1.0.0', type: 'VersionSuperseded', data: { by: null, rollout_id: 7 } },
  { stream: 'model-m', type: 'StableVersionRestored', data: { version: null, from_version: '1.0.0' } },
];

it('the question before an abort and a rollback says what is left, and so does the answer', async () => {
  recorder.stand({ stable_version: null });
  for (const argv of [
    ['rollout', 'abort', '7', '--reason', 'r'],
    ['rollout', 'rollback', '7', '--reason', 'r'],
    ['rollback', 'm', '--reason', 'r'],
  ]) {
    const no = await asked(argv, withdrawn, 'n');
    expect([no.code, no.err, changes(no)]).toEqual([2, expect.stringContaining('No version is stable then'), 0]);
    const yes = await asked(argv, withdrawn, 'y');
    expect([yes.code, changes(yes)]).toEqual([0, 1]);
    expect(yes.out).toContain('stable     no version: devices are told nothing new');
  }
});

it('the question names the version that devices return to, or stay on, and says nothing of a rollout that never started', () => {
  const restored = { stream: 'model-m', type: 'StableVersionRestored', data: { version: '0.9.0' } };
  expect(sentenceOf({ would_append: [restored] })).toBe('Devices return to 0.9.0.');
  const [aborted, superseded] = withdrawn;
  const byOther = { ...superseded!, data: { by: '1.0.0', rollout_id: 7 } };
  expect(sentenceOf({ would_append: [aborted!, byOther] })).toBe('Devices return to 1.0.0.');
  const back = { stream: 'version-m@1.0.0', type: 'VersionRestored', data: { rollout_id: 7 } };
  expect(sentenceOf({ would_append: [aborted!, superseded!, back] })).toBe('Devices stay on 1.0.0.');
  expect(sentenceOf({ would_append: [aborted!] })).toBe('');
});
