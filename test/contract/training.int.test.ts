/** Federated training over HTTP: the request, a round's tasks, every way an update is refused, and what people see of it. */
import { createHash, randomUUID } from 'node:crypto';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openRound } from '../../commands/openRound.ts';
import { encodeUpdate, f32Tensor, writeSafetensors } from '../../domain/formats/safetensors/index.ts';
import { OWN, openTestApi, SDK, systemCaller, textOf, type Answer, type Body, type TestApi } from './testApi.ts';

interface Task {
  readonly task_id: string;
  readonly lease: string;
  readonly round_id: string;
  readonly base: { readonly sha256: string; readonly url: string };
  readonly upload: { readonly max_bytes: number };
}

let t: TestApi;
let runId: string;
beforeAll(async () => {
  t = await openTestApi();
  await t.call('POST', `${OWN}/models`, { body: { name: 'learner', framework: 'f', use_case: 'u' } });
  const base = writeSafetensors([f32Tensor('w', [2], Float32Array.of(0, 0))]);
  const sha256 = createHash('sha256').update(base).digest('hex');
  const put = { raw: new Uint8Array(base), headers: { 'content-type': 'application/octet-stream' } };
  expect((await t.call('PUT', `${OWN}/blobs/${sha256}`, put)).status).toBe(201);
  const body = { new_version: '1.0.0', init_artifact: sha256, rounds: 1, min_updates: 2 };
  const asked = await t.call('POST', `${OWN}/models/learner/train`, { body });
  expect(asked.status).toBe(202);
  expect(asked.body).toMatchObject({
    kind: 'training',
    state: 'running',
    progress: { done: 0, total: 1, unit: 'rounds' },
  });
  runId = textOf(asked.body, 'id').slice('training:'.length);
  const again = await t.call('POST', `${OWN}/models/learner/train`, { body });
  expect(again.body['id']).toBe(asked.body['id']);
  const other = await t.call('POST', `${OWN}/models/learner/train`, { body: { ...body, rounds: 2 } });
  expect(other.body).toMatchObject({ status: 409, code: 'version_reserved' });
  await openRound(t.api.deps.commands, systemCaller(), { runId });
});
afterAll(() => t.close());

async function register(): Promise<string> {
  const body = { device_identifier: randomUUID(), platform: 'ios' };
  return textOf((await t.call('POST', `${SDK}/devices/register`, { body, as: 'device' })).body, 'id');
}

async function checkIn(deviceId: string): Promise<{ task: Task | null; answer: Answer }> {
  const body = { device_id: deviceId, runs: [runId] };
  const answer = await t.call('POST', `${OWN}/training/checkin`, { body, as: 'device', idempotent: false });
  return { task: answer.body['task'] as Task | null, answer }; // the answer fits its schema
}

const updateOf = (task: Task, values: number[], more: Body = {}) =>
  encodeUpdate({
    base: task.base.sha256,
    round: task.round_id,
    task: task.task_id,
    samples: 5,
    metrics: { n: 5, loss_sum: 2.5, correct: 4 },
    deltas: [f32Tensor('w', [values.length], Float32Array.from(values))],
    ...more,
  });
const digestOf = (bytes: Uint8Array) => `sha-256=:${createHash('sha256').update(bytes).digest('base64')}:`;
const put = (task: Task, bytes: Uint8Array, headers: Record<string, string> = {}) =>
  t.call('PUT', `${OWN}/training/tasks/${task.task_id}/update`, {
    raw: new Uint8Array(bytes),
    as: 'device',
    headers: { 'content-type': 'application/octet-stream', 'edgeml-lease': task.lease, ...headers },
  });

async function leased(): Promise<Task> {
  const { task } = await checkIn(await register());
  if (!task) throw new Error('no task');
  return task;
}

describe('an update', () => {
  it.each([
    ['with NaN', 'non_finite', (task: Task) => updateOf(task, [Number.NaN, 0])],
    ['with infinity', 'non_finite', (task: Task) => updateOf(task, [Number.POSITIVE_INFINITY, 0])],
    ['of another shape', 'shape_mismatch', (task: Task) => updateOf(task, [1, 2, 3])],
    ['without samples', 'samples_out_of_range', (task: Task) => updateOf(task, [1, 1], { samples: 0 })],
    ['for another base', 'wrong_base', (task: Task) => updateOf(task, [1, 1], { base: '0'.repeat(64) })],
    ['of another task', 'metadata_mismatch', (task: Task) => updateOf(task, [1, 1], { task: randomUUID() })],
    ['cut short', 'malformed_container', (task: Task) => updateOf(task, [1, 1]).slice(0, -3)],
    ['that is no safetensors file', 'malformed_container', () => Buffer.from('not a file')],
  ])('%s is refused with %s, and counts nothing', async (_what, code, make) => {
    const before = await t.facts();
    const task = await leased();
    const answer = await put(task, make(task));
    expect(answer.body).toMatchObject({ code });
    expect(answer.headers.get('edgeml-reason')).toBe(code);
    expect(await t.facts()).toBe(before);
    expect((await t.call('GET', `${OWN}/training/${runId}`)).body).toMatchObject({ current: { accepted: 0 } });
  });

  it('whose bytes are not those announced, too large or of a foreign lease is refused; the task stays', async () => {
    const task = await leased();
    const good = updateOf(task, [1, 1]);
    expect((await put(task, good, { 'repr-digest': digestOf(Buffer.from('x')) })).body).toMatchObject({
      code: 'checksum_mismatch',
    });
    expect((await put(task, good, { 'repr-digest': 'md5=:AA:' })).body).toMatchObject({ code: 'invalid_input' });
    expect((await put(task, new Uint8Array(task.upload.max_bytes + 1))).body).toMatchObject({
      code: 'payload_too_large',
    });
    expect((await put(task, good, { 'edgeml-lease': (await leased()).lease })).body).toMatchObject({
      code: 'lease_invalid',
    });
    const head = { as: 'device' as const, headers: { 'edgeml-lease': task.lease } };
    expect((await t.call('HEAD', `${OWN}/training/tasks/${task.task_id}`, head)).status).toBe(200);
  });

  it('that breaks off half way leaves the task open', async () => {
    const task = await leased();
    const { hostname, port } = new URL(t.url);
    await new Promise<void>((resolve) => {
      const socket = connect(Number(port), hostname, () => {
        const head = [
          `PUT ${OWN}/training/tasks/${task.task_id}/update HTTP/1.1`,
          `host: ${hostname}`,
          `authorization: Bearer ${t.secretOf('device')}`,
          `edgeml-lease: ${task.lease}`,
          'content-type: application/octet-stream',
          'content-length: 500',
        ];
        socket.write(`${head.join('\r\n')}\r\n\r\nhalf`, () => socket.end());
      });
      socket.once('close', () => resolve());
      socket.on('error', () => undefined);
      socket.resume();
    });
    expect((await put(task, updateOf(task, [1, 1]))).status).toBe(201);
  });
});

describe('a round', () => {
  it('takes an update once, and closes with the one that reaches the goal', async () => {
    const device = await register();
    const { task } = await checkIn(device);
    const again = await checkIn(device);
    expect(again.task?.task_id).toBe(task?.task_id);
    if (!task) throw new Error('no task');
    const base = await fetch(task.base.url);
    expect(base.headers.get('x-checksum-sha256')).toBe(task.base.sha256);
    const good = updateOf(task, [0.5, -0.5]);
    const taken = await put(task, good, { 'repr-digest': digestOf(good) });
    expect(taken.status).toBe(201);
    expect(taken.body).toMatchObject({ round_id: task.round_id, weight: 5, samples: 5 });
    const repeated = await put(task, good);
    expect([repeated.status, repeated.body]).toEqual([200, taken.body]);
    expect((await put(task, updateOf(task, [9, 9]))).body).toMatchObject({ status: 409, code: 'conflict' });
    const abort = {
      body: { phase: 'fit', reason: 'r' },
      as: 'device' as const,
      headers: { 'edgeml-lease': task.lease },
    };
    expect((await t.call('POST', `${OWN}/training/tasks/${task.task_id}/abort`, abort)).body).toMatchObject({
      code: 'already_accepted',
    });

    // The update that broke off and came again was the first; this one reached the goal of two.
    const rounds = await t.call('GET', `${OWN}/training/${runId}/rounds`);
    expect(rounds.body).toMatchObject({
      items: [{ round: 1, attempt: 1, state: 'closed', accepted: 2, counted: 2, refused: { non_finite: 2 } }],
    });
    const late = await checkIn(await register());
    expect(late.answer.body).toMatchObject({ task: null, reason: 'no_round' });
  });

  it('is steered by people: pause, resume, abort', async () => {
    const act = (verb: string, body: Body, as: 'admin' | 'viewer' = 'admin') =>
      t.call('POST', `${OWN}/training/${runId}/${verb}`, { body, as });
    expect((await act('pause', { reason: 'look' }, 'viewer')).body).toMatchObject({ code: 'insufficient_scope' });
    expect((await act('pause', { reason: 'look' })).body).toMatchObject({
      status: 'paused',
      paused: { reason: 'look' },
    });
    const waiting = await checkIn(await register());
    expect(waiting.answer.body).toMatchObject({ reason: 'run_paused' });
    expect((await act('resume', {})).body).toMatchObject({ status: 'active', paused: null });
    expect((await act('abort', { reason: 'enough' })).body).toMatchObject({
      status: 'aborted',
      ended: { kind: 'aborted', reason: 'enough' },
    });
    expect((await t.call('GET', `${OWN}/operations/training:${runId}`)).body).toMatchObject({
      state: 'cancelled',
      error: { detail: expect.stringContaining('enough') },
    });
    expect((await t.call('GET', `${OWN}/models/learner/versions/1.0.0`)).body).toMatchObject({
      lifecycle_state: 'Draft',
    });
    expect((await act('resume', {})).body).toMatchObject({ status: 409, code: 'guard_refused', state: 'Aborted' });
    await t.settle();
    expect((await t.call('GET', `${OWN}/training?model=learner&status=aborted`)).body).toMatchObject({
      items: [{ run_id: runId, rounds_done: 0 }],
    });
  });
});
