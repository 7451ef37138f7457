/** Rollouts under the policy `evidence` on a real log: what a start fixes, on what a step is taken, and that a stop wins every race. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RolloutFact, RolloutSpec } from '../domain/events/rollout.ts';
import { evidenceOf, evidenceSpecOf } from '../domain/rollout/pointer.fixture.ts';
import { modelMachine } from '../machines/model.ts';
import { versionMachine } from '../machines/modelVersion.ts';
import { rolloutMachine } from '../machines/rollout.ts';
import {
  facts,
  newModel,
  openCommands,
  person,
  publish,
  spec,
  stopper,
  unmet,
  workflow,
  type Commands,
} from '../test/support/commands.ts';
import { abortRollout } from './abortRollout.ts';
import { advanceRollout } from './advanceRollout.ts';
import { completeRollout } from './completeRollout.ts';
import { createAndStart } from './createAndStart.ts';
import { enterStage } from './enterStage.ts';
import { readPreflight } from './fleetEvidence.ts';
import { judgeRollout } from './judgeRollout.ts';
import { resumeRollout } from './resumeRollout.ts';
import { rollBack } from './rollBack.ts';

let c: Commands;
beforeAll(async () => {
  c = await openCommands();
});
afterAll(() => c.close());

const SILENCE = { metrics: { silence: { after: '30s' } } };
/** Nothing to wait for: the bake is over at once. */
const quick = (members: Record<string, unknown> = {}, percents: readonly number[] = [10, 100]): RolloutSpec => ({
  ...evidenceSpecOf('1.1.0', { ...SILENCE, ...members }),
  stages: percents.map((percent) => ({ percent, ramp: '0s', min_bake: '0s', max_bake: '1h' })),
});

/** 1.0.0 is stable, 1.1.0 is published. */
async function model(): Promise<string> {
  const modelId = await newModel(c.deps);
  for (const version of ['1.0.0', '1.1.0']) await publish(c.deps, modelId, version);
  const atOnce = { completeAtOnce: { reason: 'a release by hand' } };
  facts(await createAndStart(c.deps, person(), { modelId, spec: spec('1.0.0', [100]), ...atOnce }));
  return modelId;
}
async function live(modelId: string, planned: RolloutSpec = quick()): Promise<number> {
  const { rolloutId, ...outcome } = await createAndStart(c.deps, person(), { modelId, spec: planned });
  facts(outcome);
  return rolloutId;
}
const factsOf = async (rolloutId: number) => (await c.log.readStream(`rollout-${rolloutId}`)).map((e) => e.fact);
type DataOf<T extends RolloutFact['type']> = Extract<RolloutFact, { type: T }>['data'];
const dataOf = async <T extends RolloutFact['type']>(rolloutId: number, type: T) =>
  // Safe: the filter keeps facts of that type only.
  (await factsOf(rolloutId)).filter((f) => f.type === type).map((f) => f.data as DataOf<T>);
const fold = async (rolloutId: number) => rolloutMachine.fold(await c.log.readStream(`rollout-${rolloutId}`));
const versionOf = async (modelId: string, version: string) =>
  versionMachine.fold(await c.log.readStream(`version-${modelId}@${version}`));
const stableOf = async (modelId: string) =>
  modelMachine.fold(await c.log.readStream(`model-${modelId}`)).context.stable;

describe('a start', () => {
  it('fixes what is measured and what the stage can show, and keeps the holdback outside of the last one', async () => {
    const modelId = await model();
    const rolloutId = await live(modelId);
    const [started] = await dataOf(rolloutId, 'RolloutStarted');
    expect(started!.evidence!.measured).toEqual(expect.arrayContaining(['download', 'install']));
    const [first] = await dataOf(rolloutId, 'StageEntered');
    expect(first).toMatchObject({ to: 1_000, basis: 'auto', evidence: { has_control: true, can_prove: false } });
    facts(await judgeRollout(c.deps, workflow(), { rolloutId, judgement: evidenceOf('QUIET') }));
    facts(await enterStage(c.deps, workflow(), { rolloutId, stage: 1 }));
    const [, second] = await dataOf(rolloutId, 'StageEntered');
    expect(second).toMatchObject({ from: 1_000, to: 9_900, basis: 'quiet', evidence: { has_control: true } });
  });

  it('of a first release has no control, so only limits are measured', async () => {
    const modelId = await newModel(c.deps);
    await publish(c.deps, modelId, '1.1.0');
    const rolloutId = await live(modelId);
    const [started] = await dataOf(rolloutId, 'RolloutStarted');
    expect(started!.evidence!.measured).toEqual(['errors', 'errors_late', 'crash', 'download', 'install']);
    expect((await dataOf(rolloutId, 'StageEntered'))[0]).toMatchObject({ evidence: { has_control: false } });
  });

  it('fixes nothing under fixed limits, and pre-flight says nothing of them', async () => {
    const modelId = await model();
    const { rolloutId } = await createAndStart(c.deps, person(), { modelId, spec: spec('1.1.0') });
    expect((await dataOf(rolloutId, 'RolloutStarted'))[0]).not.toHaveProperty('evidence');
    expect(await readPreflight(c.deps, { modelId, spec: spec('1.1.0') })).toBeUndefined();
    expect((await readPreflight(c.deps, { modelId, spec: quick() }))!.stages).toHaveLength(2);
  });
});

describe('the version', () => {
  it('keeps on what it reached everyone: the weakest of its stages', async () => {
    const modelId = await model();
    const rolloutId = await live(modelId);
    facts(await judgeRollout(c.deps, workflow(), { rolloutId, judgement: evidenceOf('QUIET') }));
    facts(await enterStage(c.deps, workflow(), { rolloutId, stage: 1 }));
    const healthy = evidenceOf('HEALTHY', { stage: 1 });
    facts(await judgeRollout(c.deps, workflow(), { rolloutId, judgement: healthy }));
    facts(await completeRollout(c.deps, workflow(), { rolloutId, basis: 'auto', override: false }));
    expect((await dataOf(rolloutId, 'RolloutCompleted'))[0]).toMatchObject({ basis: 'proven' });
    expect((await versionOf(modelId, '1.1.0')).context.basis).toBe('quiet');
  });

  it('is not entered further while it is held, and a person goes on with a reason', async () => {
    const modelId = await model();
    const rolloutId = await live(modelId);
    const held = evidenceOf('HELD', { over_limit: ['crash'] });
    facts(await judgeRollout(c.deps, workflow(), { rolloutId, judgement: held }));
    expect(unmet(await enterStage(c.deps, workflow(), { rolloutId, stage: 1 }))).toContain('healthy');
    expect(unmet(await advanceRollout(c.deps, person(), { rolloutId, override: false }))).toContain('notHeld');
    facts(await resumeRollout(c.deps, person(), { rolloutId, reason: 'known' }));
    expect(await fold(rolloutId)).toMatchObject({ state: 'Active', context: { clock: { evidenceStage: 1 } } });
    const untrusted = evidenceOf('UNTRUSTED', { look: 2, evidence_stage: 1 });
    facts(await judgeRollout(c.deps, workflow(), { rolloutId, judgement: untrusted }));
    expect(unmet(await resumeRollout(c.deps, person(), { rolloutId }))).toEqual(['state']);
  });

  it('that is convicted is rolled back in the append of the judgement, with the numbers in the reason', async () => {
    const modelId = await model();
    const rolloutId = await live(modelId);
    const outcome = await judgeRollout(c.deps, stopper(), { rolloutId, judgement: evidenceOf('REGRESSED') });
    expect(facts(outcome).slice(0, 3)).toEqual(['HealthJudged', 'RolloutRolledBack', 'VersionRolledBack']);
    expect((await dataOf(rolloutId, 'RolloutRolledBack'))[0]).toMatchObject({
      reason: expect.stringContaining('errors of everyone'),
    });
    expect(await stableOf(modelId)).toBe('1.0.0');
  });
});

describe('a stop wins every race', () => {
  const TIMES = 100;
  const now = { override: true, reason: 'race' };
  const races = {
    'rollback with complete': (rolloutId: number) => [
      completeRollout(c.deps, person(), { rolloutId, basis: 'manual', ...now }),
    ],
    'rollback with advance': (rolloutId: number) => [
      advanceRollout(c.deps, person(), { rolloutId, ...now }),
      advanceRollout(c.deps, person(), { rolloutId, ...now }),
    ],
  };

  it.each(Object.entries(races))(
    `%s, ${TIMES} times: the bad version is in force nowhere`,
    { timeout: 240_000 },
    async (name, others) => {
      for (let n = 0; n < TIMES; n += 1) {
        const modelId = await model();
        const rolloutId = await live(modelId, quick({}, name.endsWith('complete') ? [100] : [10, 50, 100]));
        const stop = () => rollBack(c.deps, stopper(), { rolloutId, reason: 'bad', trigger: 'manual' });
        const racing = n % 2 === 0 ? [stop(), ...others(rolloutId)] : [...others(rolloutId), stop()];
        const outcomes = await Promise.all(racing);
        const stopped = outcomes.at(n % 2 === 0 ? 0 : -1);
        expect(stopped!.outcome).toBe('appended');
        expect((await fold(rolloutId)).state).toBe('RolledBack');
        expect((await versionOf(modelId, '1.1.0')).state).toBe('Rollback');
        expect(await stableOf(modelId)).toBe('1.0.0');
        const told = (await factsOf(rolloutId)).map((f) => f.type);
        expect(told.indexOf('RolloutRolledBack')).toBe(told.length - 1);
      }
    },
  );

  it('a conviction with an abort and an advance: one of the two stops ends it', async () => {
    for (let n = 0; n < 20; n += 1) {
      const modelId = await model();
      const rolloutId = await live(modelId);
      const judgement = evidenceOf('REGRESSED');
      await Promise.all([
        judgeRollout(c.deps, { ...workflow(), onConflict: 'stop' }, { rolloutId, judgement }),
        advanceRollout(c.deps, person(), { rolloutId, ...now }),
        abortRollout(c.deps, stopper(), { rolloutId, reason: 'no' }),
      ]);
      expect(['RolledBack', 'Aborted']).toContain((await fold(rolloutId)).state);
      expect(await stableOf(modelId)).toBe('1.0.0');
    }
  });
});
