/** Training runs on a real log: how one is asked for, and how it ends. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { roundStepId } from '../domain/events/commandIds.ts';
import { trainingStream, versionStream } from '../domain/events/streams.ts';
import { f32Tensor, writeSafetensors } from '../domain/formats/safetensors/index.ts';
import { aggregated, evaluated } from '../machines/facts.fixture.ts';
import { versionMachine } from '../machines/modelVersion.ts';
import { trainingMachine } from '../machines/trainingRun.ts';
import { abortTraining } from './abortTraining.ts';
import { admitUpdate, type UpdateOutcome } from './admitUpdate.ts';
import {
  facts,
  GRAPH,
  heldOut,
  lease,
  newModel,
  openCommands,
  openRun,
  person,
  publish,
  spec,
  stopper,
  store,
  unmet,
  updateFor,
  weights,
  workflow,
  type Commands,
} from '../test/support/commands.ts';
import { createAndStart } from './createAndStart.ts';
import { finishTraining } from './finishTraining.ts';
import { openRound } from './openRound.ts';
import { pauseTraining } from './pauseTraining.ts';
import { recordAggregate } from './recordAggregate.ts';
import { recordEvaluation } from './recordEvaluation.ts';
import { requestTraining } from './requestTraining.ts';
import { resumeTraining } from './resumeTraining.ts';
import { rollBack } from './rollBack.ts';
import { stopTraining } from './stopTraining.ts';

let c: Commands;
beforeAll(async () => {
  c = await openCommands();
});
afterAll(() => c.close());

const runOf = async (runId: string) => trainingMachine.fold(await c.log.readStream(trainingStream(runId)));
const roundOf = (runId: string, attempt = 1, round = 1) => c.deps.rounds.round(`${runId}.${round}.${attempt}`);
const versionOf = async (modelId: string) =>
  versionMachine.fold(await c.log.readStream(versionStream(modelId, '1.0.0')));
const devices = (n: number) => Array.from({ length: n }, (_, i) => `device-${i}`);
const leaseAll = (runId: string, n: number) => Promise.all(devices(n).map((d) => lease(c.deps, runId, d)));
async function answer(runId: string, deviceId: string, value = 0.1): Promise<UpdateOutcome> {
  return admitUpdate(c.deps, updateFor(await lease(c.deps, runId, deviceId), value));
}

describe('ending a run', () => {
  it('abort raced with uploads: each is accepted before, or told that the round is over', async () => {
    for (let n = 0; n < 10; n += 1) {
      const { runId, modelId } = await openRun(c.deps, { goal: 50 });
      const updates = (await leaseAll(runId, 6)).map((task, i) => updateFor(task, 0.01 * (i + 1)));
      const [aborted, ...outcomes] = await Promise.all([
        abortTraining(c.deps, stopper(), { runId, reason: 'wrong data' }),
        ...updates.map((u) => admitUpdate(c.deps, u)),
      ]);
      expect(facts(aborted)).toEqual(['RoundAbandoned', 'TrainingAborted', 'TrainingFailed']);
      const accepted = outcomes.filter((o) => o.outcome === 'accepted').length;
      const row = await roundOf(runId);
      expect(row).toMatchObject({ state: 'abandoned', accepted });
      const fact = (await c.log.readStream(trainingStream(runId))).find((e) => e.fact.type === 'RoundAbandoned');
      expect(fact!.fact.data).toMatchObject({ counted: accepted, needed: 2, reason: 'aborted' });
      expect((await versionOf(modelId)).state).toBe('Draft');
    }
  });

  it('abort and an accept, one behind the other at the lock: the fact counts what was accepted', async () => {
    for (const first of ['accept', 'abort'] as const) {
      const { runId } = await openRun(c.deps);
      const update = updateFor(await lease(c.deps, runId, 'device-0'));
      const held = await c.holdRun(runId);
      const racers = {
        accept: () => admitUpdate(c.deps, update),
        abort: () => abortTraining(c.deps, stopper(), { runId, reason: 'wrong data' }),
      };
      const winner = racers[first]();
      await held.queued(1);
      const loser = racers[first === 'accept' ? 'abort' : 'accept']();
      await held.queued(2);
      await held.release();
      const outcomes = [await winner, await loser];
      const counted = first === 'accept' ? 1 : 0;
      expect(outcomes.map((o) => o.outcome)).toEqual(counted ? ['accepted', 'appended'] : ['appended', 'refused']);
      const fact = (await c.log.readStream(trainingStream(runId))).find((e) => e.fact.type === 'RoundAbandoned');
      expect(fact!.fact.data).toMatchObject({ counted });
      expect(await roundOf(runId)).toMatchObject({ state: 'abandoned', accepted: counted });
    }
  });

  it('stop without an aggregate is an abort: the version is a Draft again, free for the same request', async () => {
    const { runId, modelId, base } = await openRun(c.deps);
    expect(facts(await stopTraining(c.deps, stopper(), { runId }))).toEqual([
      'RoundAbandoned',
      'TrainingAborted',
      'TrainingFailed',
    ]);
    const request = { new_version: '1.0.0', init_artifact: base, rounds: 1, min_updates: 2, goal: 3 };
    const again = await requestTraining(c.deps, person(), { modelId, request, source: 'own' });
    expect(again).toMatchObject({ outcome: 'appended', existing: false });
    expect(facts(again)).toEqual(['TrainingRequested', 'TrainingStarted']);
    expect(again.runId).not.toBe(runId);
  });

  it('pause and resume keep the round that collects', async () => {
    const { runId } = await openRun(c.deps);
    facts(await pauseTraining(c.deps, stopper(), { runId, reason: 'night', by: 'key_test' }));
    expect(await answer(runId, 'device-0')).toMatchObject({ outcome: 'accepted' });
    facts(await resumeTraining(c.deps, person(), { runId, by: 'key_test' }));
    expect((await resumeTraining(c.deps, person(), { runId, by: 'key_test' })).outcome).toBe('already');
  });

  it('a run is refused at once where its held-out data or its weights do not fit the model', async () => {
    const modelId = await newModel(c.deps, GRAPH);
    const base = await store(c.deps, weights());
    const ask = async (request: object) =>
      requestTraining(c.deps, person(), {
        modelId,
        request: { new_version: '1.0.0', init_artifact: base, ...request },
        source: 'own',
      });
    const unclear = { kind: 'mlp:sigmoid', input_dim: 2, output_dim: 1 };
    await expect(newModel(c.deps, unclear)).rejects.toMatchObject({ code: 'architecture_mismatch' });
    const set = await store(c.deps, weights(9));
    await expect(ask({ evaluation: { set } })).rejects.toMatchObject({ code: 'unknown_tensor' });
    await expect(ask({ evaluation: { set: 'ab'.repeat(32) } })).rejects.toMatchObject({ code: 'blob_unknown' });
    const odd = await store(c.deps, writeSafetensors([f32Tensor('weight', [3, 2], new Float32Array(6))]));
    await expect(ask({ init_artifact: odd })).rejects.toMatchObject({ code: 'architecture_mismatch' });
    expect((await ask({ evaluation: { set: await store(c.deps, heldOut()) } })).outcome).toBe('appended');
  });

  it('finish makes the last aggregate the version, with its lineage, and asks for its publication', async () => {
    const set = await store(c.deps, heldOut());
    const { runId, modelId, base } = await openRun(c.deps, { rounds: 2, publish: true, evaluation: { set } });
    for (let round = 1; round <= 2; round += 1) {
      for (const device of devices(3)) await answer(runId, device, round / 10);
      const model_sha = await store(c.deps, weights(round + 1));
      const data = { ...aggregated(round), model_sha, samples: 30 };
      facts(await recordAggregate(c.deps, workflow(roundStepId(runId, round, 1, 'aggregate')), { runId, data }));
      expect(unmet(await openRound(c.deps, workflow(), { runId }))).toContain('evaluated');
      const figures = { ...evaluated(round), accuracy: [0.85, 0.9][round - 1]! };
      facts(await recordEvaluation(c.deps, workflow(), { runId, data: figures }));
      if (round === 1) facts(await openRound(c.deps, workflow(), { runId }));
    }
    expect(await roundOf(runId, 1, 2)).toMatchObject({ baseLabel: '1.0.0-round.1', state: 'closed' });
    expect(facts(await finishTraining(c.deps, workflow(`training-${runId}/finish`), { runId }))).toEqual([
      'TrainingStopped',
      'TrainingSucceeded',
      'TrainingCompleted',
      'PublishRequested',
    ]);
    const version = await versionOf(modelId);
    expect(version.state).toBe('Trained.publishing');
    expect(version.context.training).toMatchObject({
      base: { version: null, sha: base },
      rounds: 2,
      rounds_planned: 2,
      participants: 3,
      updates: 6,
      samples: 60,
      accuracy: 0.9,
      first: { accuracy: 0.85 },
      best_round: 2,
      stop: { rule: 'rounds' },
      chain: [{ round: 1 }, { round: 2 }],
    });
    expect((await finishTraining(c.deps, workflow(`training-${runId}/finish`), { runId })).outcome).toBe('duplicate');
    expect((await finishTraining(c.deps, workflow(), { runId })).outcome).toBe('already');
  });
});

describe('asking for a run', () => {
  it('is refused without weights, on weights that are not stored, and with members it does not know', async () => {
    const { modelId } = await openRun(c.deps);
    const ask = (request: object) => requestTraining(c.deps, person(), { modelId, request, source: 'own' });
    await expect(ask({ new_version: '2.0.0' })).rejects.toMatchObject({ code: 'invalid_input' });
    await expect(ask({ new_version: '2.0.0', init_artifact: 'a'.repeat(64) })).rejects.toMatchObject({
      code: 'blob_unknown',
    });
    const file = await store(c.deps, Buffer.from('no tensors'));
    await expect(ask({ new_version: '2.0.0', init_artifact: file })).rejects.toMatchObject({
      code: 'malformed_container',
    });
    await expect(ask({ new_version: '2.0.0', round: 3 })).rejects.toMatchObject({ code: 'unknown_field' });
    await expect(ask({ new_version: '2.0.0', base_version: '9.9.9' })).rejects.toMatchObject({
      code: 'version_not_found',
    });
  });

  it('trains on the latest usable version; one that was rolled back only with a reason', async () => {
    const modelId = await newModel(c.deps);
    for (const version of ['1.0.0', '1.1.0', '2.0.0-rc.1']) await publish(c.deps, modelId, version);
    const ask = (request: object) => requestTraining(c.deps, person(), { modelId, request, source: 'own' });
    const baseOf = async (runId: string) => (await runOf(runId)).context.base.version;
    expect(await baseOf((await ask({ new_version: '1.2.0' })).runId)).toBe('1.1.0');

    const everyone = { modelId, spec: spec('1.1.0') };
    const { rolloutId } = await createAndStart(c.deps, person(), everyone);
    facts(await rollBack(c.deps, stopper(), { rolloutId, reason: 'iOS fails', trigger: 'manual' }));
    expect(await baseOf((await ask({ new_version: '1.3.0' })).runId)).toBe('1.0.0');
    const bad = { new_version: '1.4.0', base_version: '1.1.0' };
    await expect(ask(bad)).rejects.toMatchObject({ code: 'invalid_input' });
    const allowed = await ask({ ...bad, allow_rolled_back_base: { reason: 'the fault is in the app' } });
    expect(await baseOf(allowed.runId)).toBe('1.1.0');
    expect(await ask({ new_version: '1.0.0' })).toMatchObject({ refusal: { code: 'version_reserved' } });
    expect(await ask({ new_version: '1.0.0-rc.1' })).toMatchObject({ refusal: { code: 'version_not_monotone' } });
  });

  it('trains a hotfix on a version below it, and refuses to be based on one above', async () => {
    const modelId = await newModel(c.deps);
    for (const version of ['1.1.0', '1.2.0', '1.2.1']) await publish(c.deps, modelId, version);
    const ask = (request: object) => requestTraining(c.deps, person(), { modelId, request, source: 'own' });
    const { runId } = await ask({ new_version: '1.1.1' });
    expect((await runOf(runId)).context.base.version).toBe('1.1.0');
    const above = ask({ new_version: '1.1.2', base_version: '1.2.0' });
    await expect(above).rejects.toMatchObject({
      code: 'invalid_input',
      message: expect.stringContaining('1.2.0 is not below 1.1.2') as string,
    });
    // An older line: no release is below it.
    await expect(ask({ new_version: '1.0.0' })).rejects.toMatchObject({
      code: 'invalid_input',
      message: expect.stringContaining('/base_version no usable release is below 1.0.0') as string,
    });
  });

  it('twice at once, by the same request, is one run', async () => {
    const { modelId, base } = await openRun(c.deps);
    const input = { modelId, request: { new_version: '1.5.0', init_artifact: base }, source: 'own' as const };
    const both = await Promise.all([1, 2, 3].map(() => requestTraining(c.deps, person(), input)));
    expect(both.map((o) => o.outcome).sort()).toEqual(['already', 'already', 'appended']);
    expect(new Set(both.map((o) => o.runId)).size).toBe(1);
  });
});
