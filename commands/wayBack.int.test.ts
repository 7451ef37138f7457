/** Where devices go when a rollout ends badly: to what is in force, and never to what a person took away. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { versionStream } from '../domain/events/streams.ts';
import { judgement } from '../machines/facts.fixture.ts';
import { modelMachine } from '../machines/model.ts';
import { versionMachine } from '../machines/modelVersion.ts';
import { rolloutMachine } from '../machines/rollout.ts';
import {
  facts,
  interrupted,
  newModel,
  openCommands,
  person,
  publish,
  spec,
  stopper,
  unmet,
  type Commands,
} from '../test/support/commands.ts';
import { abortRollout } from './abortRollout.ts';
import { createAndStart } from './createAndStart.ts';
import { judgeRollout } from './judgeRollout.ts';
import { rollBack } from './rollBack.ts';

let c: Commands;
beforeAll(async () => {
  c = await openCommands();
});
afterAll(() => c.close());

const why = { reason: 'errors', trigger: 'manual' as const };

/** Makes the version stable, and answers its rollout. */
async function release(modelId: string, version: string): Promise<number> {
  await publish(c.deps, modelId, version);
  const input = { modelId, spec: spec(version, [100]), completeAtOnce: { reason: 'by hand' } };
  const { rolloutId, ...outcome } = await createAndStart(c.deps, person(), input);
  facts(outcome);
  return rolloutId;
}
/** A canary of 0.01 %. */
async function canary(modelId: string, version: string): Promise<number> {
  await publish(c.deps, modelId, version);
  const { rolloutId, ...outcome } = await createAndStart(c.deps, person(), {
    modelId,
    spec: spec(version, [0.01, 100]),
  });
  facts(outcome);
  return rolloutId;
}
const abort = async (rolloutId: number) =>
  facts(await abortRollout(c.deps, stopper(), { rolloutId, reason: 'not what we want' }));
const stableOf = async (modelId: string) =>
  modelMachine.fold(await c.log.readStream(`model-${modelId}`)).context.stable;
const targetOf = async (rolloutId: number) =>
  rolloutMachine.fold(await c.log.readStream(`rollout-${rolloutId}`)).context.rolledBack?.target;
const stateOf = async (modelId: string, version: string) =>
  versionMachine.fold(await c.log.readStream(versionStream(modelId, version))).state;

/** 1.0.0 was stable until a person aborted it: nothing is in force. */
async function abortedFirst(): Promise<string> {
  const modelId = await newModel(c.deps);
  await abort(await release(modelId, '1.0.0'));
  expect(await stableOf(modelId)).toBeNull();
  return modelId;
}

describe('a live rollout', () => {
  it('of 0.01 % that is rolled back does not send the fleet to a version that was aborted', async () => {
    const modelId = await abortedFirst();
    const rolloutId = await canary(modelId, '1.1.0');
    expect(facts(await rollBack(c.deps, stopper(), { rolloutId, ...why }))).toEqual([
      'RolloutRolledBack',
      'VersionRolledBack',
    ]);
    expect(await targetOf(rolloutId)).toBeNull();
    expect(await stableOf(modelId)).toBeNull();
    expect(await stateOf(modelId, '1.0.0')).toBe('Deployed.standby');
  });

  it('that a verdict convicts, and one that the kill switch of the model ends, do neither', async () => {
    const convicted = await abortedFirst();
    const first = await canary(convicted, '1.1.0');
    facts(await judgeRollout(c.deps, stopper(), { rolloutId: first, judgement: judgement('REGRESSED') }));
    expect(await targetOf(first)).toBeNull();
    expect(await stableOf(convicted)).toBeNull();

    const switched = await abortedFirst();
    const second = await canary(switched, '1.1.0');
    facts(await rollBack(c.deps, stopper(), { modelId: switched, ...why }));
    expect(await targetOf(second)).toBeNull();
    expect(await stableOf(switched)).toBeNull();
  });

  it('that is aborted leaves nothing in force where nothing was', async () => {
    const modelId = await abortedFirst();
    await abort(await canary(modelId, '1.1.0'));
    expect(await stableOf(modelId)).toBeNull();
  });

  it('goes back to what is stable at this moment, also where that was aborted while it was decided', async () => {
    const modelId = await newModel(c.deps);
    const stable = await release(modelId, '1.0.0');
    const rolloutId = await canary(modelId, '1.1.0');
    const raced = interrupted(c.deps, () => abort(stable));
    facts(await rollBack(raced, stopper(), { rolloutId, ...why }));
    expect(await targetOf(rolloutId)).toBeNull();
    expect(await stableOf(modelId)).toBeNull();
  });
});

describe('a completed version that is withdrawn', () => {
  it('passes over what was aborted and what was rolled back, to the newest that was neither', async () => {
    const modelId = await newModel(c.deps);
    await release(modelId, '1.0.0');
    const bad = await release(modelId, '1.1.0');
    facts(await rollBack(c.deps, stopper(), { rolloutId: bad, ...why }));
    await abort(await release(modelId, '1.2.0'));
    const last = await release(modelId, '1.3.0');
    facts(await rollBack(c.deps, stopper(), { rolloutId: last, ...why }));
    expect(await stableOf(modelId)).toBe('1.0.0');
  });

  it('passes over a version that was stable once and whose later rollout was aborted', async () => {
    const modelId = await newModel(c.deps);
    await release(modelId, '1.0.0');
    const last = await release(modelId, '1.1.0');
    const again = await createAndStart(c.deps, person(), { modelId, spec: spec('1.0.0', [10, 100]) });
    facts(again);
    await abort(again.rolloutId);
    facts(await rollBack(c.deps, stopper(), { rolloutId: last, ...why }));
    expect(await stableOf(modelId)).toBeNull();
  });

  it('goes to an aborted version that a person names, which may then come back by itself', async () => {
    const modelId = await newModel(c.deps);
    await abort(await release(modelId, '1.0.0'));
    const second = await release(modelId, '1.1.0');
    facts(await rollBack(c.deps, stopper(), { rolloutId: second, targetVersion: '1.0.0', ...why }));
    expect(await stableOf(modelId)).toBe('1.0.0');
    const third = await release(modelId, '1.2.0');
    facts(await rollBack(c.deps, stopper(), { rolloutId: third, ...why }));
    expect(await stableOf(modelId)).toBe('1.0.0');
  });

  it('never goes to a rolled-back version, whoever names it, nor to one that was never stable', async () => {
    const modelId = await newModel(c.deps);
    await release(modelId, '1.0.0');
    const bad = await release(modelId, '1.1.0');
    facts(await rollBack(c.deps, stopper(), { rolloutId: bad, ...why }));
    const last = await release(modelId, '1.2.0');
    await publish(c.deps, modelId, '1.3.0');
    for (const targetVersion of ['1.1.0', '1.2.0', '1.3.0']) {
      expect(unmet(await rollBack(c.deps, stopper(), { rolloutId: last, targetVersion, ...why }))).toEqual(['target']);
    }
    expect(await stableOf(modelId)).toBe('1.2.0');
  });
});
