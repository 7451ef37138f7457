/** Lost answers, races and conflicts: what a command answers when it is sent again. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { modelIdOf } from '../domain/hash/uuid.ts';
import { rolloutStream } from '../domain/events/streams.ts';
import { admitUpdate } from './admitUpdate.ts';
import { abortRollout } from './abortRollout.ts';
import { createAndStart } from './createAndStart.ts';
import { createRollout } from './createRollout.ts';
import {
  facts,
  interrupted,
  lease,
  losingFirstAnswer,
  newModel,
  openCommands,
  ORG,
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
import type { Outcome } from './context.ts';
import { enterStage } from './enterStage.ts';
import { pauseRollout } from './pauseRollout.ts';
import { recordRootCause } from './recordRootCause.ts';
import { registerModel } from './registerModel.ts';
import { requestPublish } from './requestPublish.ts';
import { requestTraining } from './requestTraining.ts';
import { resumeRollout } from './resumeRollout.ts';
import { rollBack } from './rollBack.ts';
import { startRollout } from './startRollout.ts';
import { uploadArtifact } from './uploadArtifact.ts';

let c: Commands;
beforeAll(async () => {
  c = await openCommands();
});
afterAll(() => c.close());

async function started(version = '1.0.0') {
  const modelId = await newModel(c.deps);
  await publish(c.deps, modelId, version);
  return { modelId, ...(await createAndStart(c.deps, person(), { modelId, spec: spec(version) })) };
}

/** Runs `command` with its answer lost, then again; the second must be the first outcome of facts that are stored once. */
async function repeatedAfterLoss<T extends Outcome>(command: (deps: Commands['deps']) => Promise<T>): Promise<T> {
  await expect(command(losingFirstAnswer(c.deps))).rejects.toThrow('the answer was lost');
  const again = await command(c.deps);
  expect(again.outcome).toBe('duplicate');
  const third = await command(c.deps);
  expect(third).toEqual(again);
  return again;
}

describe('an answer lost after the append', () => {
  it('registerModel: the repeat gets the first outcome', async () => {
    const input = { orgId: ORG, name: 'lost', framework: 'pytorch', useCase: 'nlp', description: '' };
    const again = await repeatedAfterLoss((deps) => registerModel(deps, person('http:key:lost'), input));
    expect(again.modelId).toBe(modelIdOf(ORG, 'lost'));
    expect(again).toMatchObject({ events: [{ type: 'ModelRegistered', version: 1 }], sameRequest: true });
  });

  it('createRollout: the repeat drew another id, and answers the first', async () => {
    const modelId = await newModel(c.deps);
    await publish(c.deps, modelId, '1.0.0');
    const id = person();
    const again = await repeatedAfterLoss((deps) => createRollout(deps, id, { modelId, spec: spec('1.0.0') }));
    expect(again).toMatchObject({ events: [{ stream: rolloutStream(again.rolloutId) }] });
    expect(await c.deps.rollouts.ofModel(modelId)).toEqual([
      { rolloutId: again.rolloutId, version: '1.0.0', phase: 'pending' },
    ]);
  });

  it('startRollout: not a refusal, though the rollout is live by now', async () => {
    const modelId = await newModel(c.deps);
    await publish(c.deps, modelId, '1.0.0');
    const { rolloutId } = await createRollout(c.deps, person(), { modelId, spec: spec('1.0.0') });
    const id = person();
    const again = await repeatedAfterLoss((deps) => startRollout(deps, id, { rolloutId }));
    expect(again).toMatchObject({
      events: [{ type: 'RolloutStarted' }, { type: 'StageEntered' }, { type: 'DeploymentStarted' }],
    });
  });

  it('rollBack: not a refusal, though there is nothing left to roll back', async () => {
    const { modelId, rolloutId } = await started();
    const id = stopper();
    const byModel = await repeatedAfterLoss((deps) =>
      rollBack(deps, id, { modelId, reason: 'iOS fails', trigger: 'manual' }),
    );
    expect(byModel.rolloutId).toBe(rolloutId);
    expect(byModel).toMatchObject({ events: [{ type: 'RolloutRolledBack' }, { type: 'VersionRolledBack' }] });
    const other = await rollBack(c.deps, stopper(), { rolloutId, reason: 'again', trigger: 'manual' });
    expect(other.outcome).toBe('already');
  });

  it('requestPublish: the repeat answers the first number', async () => {
    const { modelId } = await openRun(c.deps);
    const bytes = weights();
    const sha256 = await store(c.deps, bytes);
    const files = [{ format: 'safetensors', sha256, bytes: bytes.length, media_type: 'application/octet-stream' }];
    facts(await uploadArtifact(c.deps, person(), { modelId, version: '2.0.0', files }));
    const id = person();
    const again = await repeatedAfterLoss((deps) => requestPublish(deps, id, { modelId, version: '2.0.0' }));
    expect(again.n).toBe(1);
  });

  it('requestTraining: the repeat answers the first run, under its key and under any other', async () => {
    const modelId = await newModel(c.deps);
    await publish(c.deps, modelId, '1.0.0');
    const input = { modelId, request: { new_version: '1.1.0', min_updates: 2 }, source: 'own' as const };
    const id = person();
    const again = await repeatedAfterLoss((deps) => requestTraining(deps, id, input));
    expect(again.existing).toBe(true);
    const other = await requestTraining(c.deps, person(), input);
    expect(other).toMatchObject({ outcome: 'already', runId: again.runId, existing: true });
    const changed = { ...input, request: { new_version: '1.1.0', min_updates: 3 } };
    expect(await requestTraining(c.deps, person(), changed)).toMatchObject({ refusal: { code: 'version_reserved' } });
  });

  it('admitUpdate: the repeat gets the same receipt, and the update counts once', async () => {
    const { runId } = await openRun(c.deps);
    const update = updateFor(await lease(c.deps, runId, 'device-1'));
    await expect(admitUpdate(losingFirstAnswer(c.deps), update)).rejects.toThrow('the answer was lost');
    const again = await admitUpdate(c.deps, update);
    expect(again).toMatchObject({ outcome: 'repeated', receipt: { updateSha: update.digest, samples: 10 } });
    expect(await admitUpdate(c.deps, update)).toEqual(again);
    expect(await c.deps.rounds.round(`${runId}.1.1`)).toMatchObject({ accepted: 1, counted: 1, state: 'open' });
  });
});

describe('a key used for another request', () => {
  it('is told, and appends nothing', async () => {
    const input = { orgId: ORG, name: 'keyed', framework: 'pytorch', useCase: 'nlp', description: '' };
    const id = { ...person(), commandHash: Uint8Array.of(1) };
    expect((await registerModel(c.deps, id, input)).outcome).toBe('appended');
    const other = { ...id, commandHash: Uint8Array.of(2) };
    expect(await registerModel(c.deps, other, input)).toMatchObject({ outcome: 'duplicate', sameRequest: false });
  });
});

describe('a version conflict', () => {
  it('is decided again for people', async () => {
    const { rolloutId } = await started();
    const deps = interrupted(c.deps, () => resumePaused(rolloutId));
    const paused = await pauseRollout(deps, person(), { rolloutId, reason: 'lunch' });
    expect(facts(paused)).toEqual(['RolloutPaused']);
    expect(paused).toMatchObject({ events: [{ version: 6 }] });
  });

  it('is `stale` for workflows, which reload', async () => {
    const { rolloutId } = await started();
    const deps = interrupted(c.deps, () => pauseRollout(c.deps, person(), { rolloutId, reason: 'lunch' }));
    const outcome = await pauseRollout(deps, workflow(), { rolloutId, reason: 'inconclusive' });
    expect(outcome).toEqual({ outcome: 'stale', stream: rolloutStream(rolloutId), version: 4 });
  });

  it('is `stale` before anything is decided where the workflow saw an older version', async () => {
    const { rolloutId } = await started();
    const expects = { stream: rolloutStream(rolloutId), version: 2 };
    const outcome = await enterStage(c.deps, { ...workflow(), expect: expects }, { rolloutId, stage: 1 });
    expect(outcome).toEqual({ outcome: 'stale', stream: rolloutStream(rolloutId), version: 3 });
  });

  it('of a stream that the use case does not read is seen as well', async () => {
    const { modelId, rolloutId } = await started();
    const ifMatch = { stream: `version-${modelId}@1.0.0`, version: 1 };
    const outcome = await pauseRollout(c.deps, { ...person(), expect: ifMatch }, { rolloutId, reason: 'lunch' });
    expect(outcome).toMatchObject({ outcome: 'stale', stream: ifMatch.stream });
  });

  it('turns into "already so" where the other did the same', async () => {
    const { rolloutId } = await started();
    const deps = interrupted(c.deps, () => abortRollout(c.deps, stopper(), { rolloutId, reason: 'first' }));
    expect((await abortRollout(deps, stopper(), { rolloutId, reason: 'second' })).outcome).toBe('already');
  });
});

async function resumePaused(rolloutId: number) {
  facts(await pauseRollout(c.deps, person(), { rolloutId, reason: 'first' }));
  facts(await resumeRollout(c.deps, person(), { rolloutId }));
}

describe('a diverged stream', () => {
  it('takes stops, from the last good state, and nothing else', async () => {
    const { rolloutId } = await started();
    const stream = rolloutStream(rolloutId);
    // A fact that the chart refuses, as a bug in an older build would leave it.
    await c.log.append({
      commandId: 'bug',
      commandHash: null,
      actor: { kind: 'system', id: 'test' },
      correlationId: null,
      causationId: null,
      expected: new Map([[stream, 'any']]),
      events: [
        {
          id: c.deps.newId(),
          stream,
          machine: 'rollout@1',
          schemaVersion: 1,
          fact: { type: 'RootCauseRecorded', data: { text: 'too early' } },
        },
      ],
    });
    await expect(resumeRollout(c.deps, person(), { rolloutId })).rejects.toMatchObject({ code: 'stream_diverged' });
    await expect(recordRootCause(c.deps, person(), { rolloutId, text: 'x' })).rejects.toMatchObject({
      code: 'stream_diverged',
    });
    const stopped = await rollBack(c.deps, stopper(), { rolloutId, reason: 'iOS fails', trigger: 'manual' });
    expect(facts(stopped)).toEqual(['RolloutRolledBack', 'VersionRolledBack']);
    expect(stopped).toMatchObject({ events: [{ version: 5 }, {}] });
  });
});

describe('input that names nothing', () => {
  it('throws, with the code of what is missing', async () => {
    await expect(startRollout(c.deps, person(), { rolloutId: 999_999 })).rejects.toMatchObject({
      code: 'rollout_not_found',
    });
    await expect(requestPublish(c.deps, person(), { modelId: 'none', version: '1.0.0' })).rejects.toMatchObject({
      code: 'model_not_found',
    });
    const modelId = await newModel(c.deps);
    await expect(createRollout(c.deps, person(), { modelId, spec: spec('1.0.0') })).rejects.toMatchObject({
      code: 'version_not_found',
    });
  });

  it('a refusal is a value with its guards', async () => {
    const { rolloutId } = await started();
    expect(unmet(await resumeRollout(c.deps, person(), { rolloutId }))).toBe('already');
    expect(unmet(await enterStage(c.deps, workflow(), { rolloutId, stage: 1 }))).toEqual(['healthy']);
  });
});
