/**
 * A step that fails the same way three times is given up with a fact that names it, on a real Temporal and a real Postgres; faults
 * of the parts below it keep their retries. Each worker here has one dependency that throws.
 */
import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { ActivityDeps } from '../activities/deps.ts';
import { registerModel } from '../commands/registerModel.ts';
import { requestPublish } from '../commands/requestPublish.ts';
import { resumeRollout } from '../commands/resumeRollout.ts';
import { resumeTraining } from '../commands/resumeTraining.ts';
import { uploadArtifact } from '../commands/uploadArtifact.ts';
import { publishProcess, rolloutProcess, trainingProcess } from '../domain/events/processes.ts';
import { trainingStream, versionStream } from '../domain/events/streams.ts';
import { GRAPH, facts, ORG, person, store, weights } from '../test/support/commands.ts';
import { until } from '../test/support/log.ts';
import { answerAll, requestRun } from '../test/support/training.ts';
import {
  arm,
  openWorkflows,
  publishedModel,
  quickSpec,
  start,
  type WorkflowFixture,
} from '../test/support/workflows.ts';

let t: WorkflowFixture;
let worker: Awaited<ReturnType<WorkflowFixture['startWorker']>> | undefined;
beforeAll(async () => {
  t = await openWorkflows();
  t.startRelay();
});
afterAll(() => t.close());
afterEach(async () => {
  await worker?.stop();
  worker = undefined;
});

async function work(deps: Partial<ActivityDeps> = {}): Promise<void> {
  await worker?.stop();
  worker = await t.startWorker(deps);
}

/** Counts its calls and throws the error of each try; after those given it lets `then` answer. */
function failing<A extends unknown[], R>(error: () => unknown, times: number, then: (...args: A) => Promise<R>) {
  const calls = { n: 0 };
  const call = (...args: A): Promise<R> => {
    calls.n += 1;
    if (calls.n > times) return then(...args);
    throw error();
  };
  return { calls, call };
}
const tooLong = () => new RangeError('Maximum call stack size exceeded');
const FAULT = /failed 3 times with RangeError: Maximum call stack size exceeded/;
const lastOf = async (stream: string, type: string) =>
  (await t.log.store.readStream(stream)).findLast((e) => e.fact.type === type);
const resultOf = (id: string) => t.client.workflow.getHandle(id).result();

async function readyToPublish(): Promise<string> {
  const model = { orgId: ORG, name: `faulty-${randomUUID()}`, framework: 'onnx', useCase: 'test', description: '' };
  const { modelId } = await registerModel(t.commands, person(), { ...model, architecture: GRAPH });
  const bytes = weights();
  const file = {
    format: 'safetensors',
    sha256: await store(t.commands, bytes),
    bytes: bytes.length,
    media_type: 'x/y',
  };
  facts(await uploadArtifact(t.commands, person(), { modelId, version: '1.0.0', files: [file] }));
  return modelId;
}

describe('a publication', () => {
  it('that fails the same way three times is refused with what failed, and may be asked for again', async () => {
    const { calls, call } = failing(tooLong, Infinity, t.deps.runtime.openOnnxSession);
    await work({ runtime: { ...t.deps.runtime, openOnnxSession: call } });
    const modelId = await readyToPublish();
    const stream = versionStream(modelId, '1.0.0');
    const { n } = await requestPublish(t.commands, person(), { modelId, version: '1.0.0' });
    await until('it is refused', async () => (await lastOf(stream, 'PublishRefused')) !== undefined);
    expect(await lastOf(stream, 'PublishRefused')).toMatchObject({
      fact: { data: { n, code: 'internal_fault', checks: [], reason: expect.stringMatching(FAULT) as string } },
      actor: { kind: 'system', id: 'worker' },
    });
    await expect(resultOf(publishProcess(modelId, '1.0.0', n))).resolves.toEqual({ state: 'Trained.ready' });
    expect(calls.n).toBe(3);

    await work();
    facts(await requestPublish(t.commands, person(), { modelId, version: '1.0.0' }));
    await until('it is published', async () => (await lastOf(stream, 'VersionPublished')) !== undefined);
  });
});

describe('a training run', () => {
  const paused = (runId: string) => lastOf(trainingStream(runId), 'TrainingPaused');
  const untilPaused = (runId: string) => until(`${runId} is paused`, async () => (await paused(runId)) !== undefined);

  it('whose round cannot be aggregated is paused, is not tried before it is resumed, and goes on then', async () => {
    const { calls, call } = failing(tooLong, Infinity, t.commands.rounds.accepted);
    await work({ commands: { ...t.commands, rounds: { ...t.commands.rounds, accepted: call } } });
    const { runId } = await requestRun(t.commands, { rounds: 1 });
    await answerAll(t.commands, runId, 3);
    await untilPaused(runId);
    expect(await paused(runId)).toMatchObject({
      fact: { data: { by: 'system', code: 'internal_fault', reason: expect.stringMatching(FAULT) as string } },
    });
    const tried = calls.n;
    await work({ commands: { ...t.commands, rounds: { ...t.commands.rounds, accepted: call } } });
    expect(calls.n).toBe(tried);

    await work();
    facts(await resumeTraining(t.commands, person(), { runId, by: 'key_test' }));
    await expect(resultOf(trainingProcess(runId))).resolves.toEqual({ state: 'Succeeded' });
  });

  it('whose round cannot be opened is paused and says why', async () => {
    const { call } = failing(() => new TypeError('x is undefined'), Infinity, t.commands.owners.ownerOf);
    await work({ commands: { ...t.commands, owners: { ...t.commands.owners, ownerOf: call } } });
    const { runId } = await requestRun(t.commands);
    await untilPaused(runId);
    expect((await paused(runId))?.fact.data).toMatchObject({
      code: 'internal_fault',
      reason: 'submitCommand failed 3 times with TypeError: x is undefined',
    });
  });
});

describe('a rollout', () => {
  it('whose health cannot be judged is paused, and goes on when it is resumed', async () => {
    t.counters = { canary: arm(10, 100, 0), control: arm(10, 100, 0) };
    const { call } = failing(tooLong, Infinity, t.deps.telemetry.readCounters);
    await work({ telemetry: { ...t.deps.telemetry, readCounters: call } });
    const modelId = await publishedModel(t.commands, ['1.0.0']);
    const id = await start(t.commands, modelId, quickSpec('1.0.0', [10, 100]));
    const held = await t.untilFact(id, 'RolloutPaused');
    expect(held.fact.data).toMatchObject({
      cause: 'internal_fault',
      reason: expect.stringMatching(FAULT) as string,
    });
    await work();
    facts(await resumeRollout(t.commands, person(), { rolloutId: id }));
    await expect(resultOf(rolloutProcess(id))).resolves.toEqual({ state: 'Completed' });
  });

  it('goes on by itself after many faults of Postgres', async () => {
    t.counters = { canary: arm(10, 100, 0), control: arm(10, 100, 0) };
    const deadlock = () => Object.assign(new pg.DatabaseError('deadlock detected', 1, 'error'), { code: '40P01' });
    const { calls, call } = failing(deadlock, 4, t.commands.log.load);
    await work({ commands: { ...t.commands, log: { ...t.commands.log, load: call } } });
    const modelId = await publishedModel(t.commands, ['1.0.0']);
    const id = await start(t.commands, modelId, quickSpec('1.0.0', [10, 100]));
    await t.untilFact(id, 'RolloutCompleted');
    expect(calls.n).toBeGreaterThan(4);
    expect((await t.rolloutFacts(id)).map((e) => e.fact.type)).not.toContain('RolloutPaused');
  });
});
