/** Rollouts on a real log: each use case with the streams that it moves together. Long: they share one life of a model. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { versionStream } from '../domain/events/streams.ts';
import { judgement } from '../machines/facts.fixture.ts';
import { versionMachine } from '../machines/modelVersion.ts';
import { createPool } from '../store/connect.ts';
import { namedSql } from '../store/sql/namedSql.ts';
import { modelMachine } from '../machines/model.ts';
import { isLive, rolloutMachine } from '../machines/rollout.ts';
import { abortRollout } from './abortRollout.ts';
import { advanceRollout } from './advanceRollout.ts';
import {
  facts,
  interrupted,
  newModel,
  openCommands,
  person,
  publish,
  spec,
  stopper,
  streamsOf,
  unmet,
  workflow,
  type Commands,
} from '../test/support/commands.ts';
import { completeRollout } from './completeRollout.ts';
import { createAndStart } from './createAndStart.ts';
import { createRollout } from './createRollout.ts';
import { judgeRollout } from './judgeRollout.ts';
import { pauseRollout } from './pauseRollout.ts';
import { recordRootCause } from './recordRootCause.ts';
import { rollBack } from './rollBack.ts';
import { startRollout } from './startRollout.ts';

let c: Commands;
beforeAll(async () => {
  c = await openCommands();
});
afterAll(() => c.close());

const atOnce = { completeAtOnce: { reason: 'a release by hand' } };
const why = { reason: 'iOS fails', trigger: 'manual' as const };

async function modelWith(...versions: string[]): Promise<string> {
  const modelId = await newModel(c.deps);
  for (const version of versions) await publish(c.deps, modelId, version);
  return modelId;
}
/** Makes versions stable one after the other. */
async function released(...versions: string[]): Promise<string> {
  const modelId = await modelWith(...versions);
  for (const version of versions) {
    facts(await createAndStart(c.deps, person(), { modelId, spec: spec(version, [100]), ...atOnce }));
  }
  return modelId;
}
async function live(modelId: string, version: string, percents?: readonly number[], more = {}): Promise<number> {
  const { rolloutId, ...outcome } = await createAndStart(c.deps, person(), {
    modelId,
    spec: spec(version, percents, more),
  });
  facts(outcome);
  return rolloutId;
}
/** 1.1.0 is stable, and 1.0.0, the only other one that was, is rolled back. */
async function lastOne() {
  const modelId = await released('1.0.0');
  const [first] = await c.deps.rollouts.ofModel(modelId);
  facts(await rollBack(c.deps, stopper(), { rolloutId: first!.rolloutId, ...why }));
  await publish(c.deps, modelId, '1.1.0');
  const next = await createAndStart(c.deps, person(), { modelId, spec: spec('1.1.0', [100]), ...atOnce });
  facts(next);
  return { modelId, rolloutId: next.rolloutId };
}
const fold = async (rolloutId: number) => rolloutMachine.fold(await c.log.readStream(`rollout-${rolloutId}`));
const stateOf = async (modelId: string, version: string) =>
  versionMachine.fold(await c.log.readStream(versionStream(modelId, version))).state;
const modelOf = async (modelId: string) => modelMachine.fold(await c.log.readStream(`model-${modelId}`)).context;
const dataOf = async (stream: string) => (await c.log.readStream(stream)).at(-1)!.fact.data;

describe('starting', () => {
  it('is one append over rollout and version', async () => {
    const modelId = await modelWith('1.0.0');
    const { rolloutId } = await createRollout(c.deps, person(), { modelId, spec: spec('1.0.0') });
    const outcome = await startRollout(c.deps, person(), { rolloutId });
    expect(facts(outcome)).toEqual(['RolloutStarted', 'StageEntered', 'DeploymentStarted']);
    expect(await stateOf(modelId, '1.0.0')).toBe('Deployed.rolling');
    expect((await startRollout(c.deps, person(), { rolloutId })).outcome).toBe('already');
  });

  it('is refused beside another live rollout of the model, and free again when that has ended', async () => {
    const modelId = await modelWith('1.0.0', '1.1.0');
    const first = await live(modelId, '1.0.0');
    const { rolloutId } = await createRollout(c.deps, person(), { modelId, spec: spec('1.1.0') });
    expect(unmet(await startRollout(c.deps, person(), { rolloutId }))).toEqual(['alone']);
    facts(await pauseRollout(c.deps, person(), { rolloutId: first, reason: 'lunch' }));
    expect(unmet(await startRollout(c.deps, person(), { rolloutId }))).toEqual(['alone']);
    facts(await abortRollout(c.deps, person(), { rolloutId: first, reason: 'no' }));
    expect(facts(await startRollout(c.deps, person(), { rolloutId }))).toContain('RolloutStarted');
  });

  it('raced, lets exactly one rollout of a model through, and all of different models', async () => {
    for (let n = 0; n < 20; n += 1) {
      const modelId = await modelWith('1.0.0', '1.1.0');
      const ids: number[] = [];
      for (const version of ['1.0.0', '1.1.0']) {
        ids.push((await createRollout(c.deps, person(), { modelId, spec: spec(version) })).rolloutId);
      }
      const elsewhere = await modelWith('1.0.0');
      const [other, ...raced] = await Promise.all([
        createAndStart(c.deps, person(), { modelId: elsewhere, spec: spec('1.0.0') }),
        ...ids.map((rolloutId) => startRollout(c.deps, person(), { rolloutId })),
        createAndStart(c.deps, person(), { modelId, spec: spec('1.1.0') }),
      ]);
      expect(other.outcome).toBe('appended');
      expect(raced.map((o) => o.outcome).sort()).toEqual(['appended', 'refused', 'refused']);
      const states = await Promise.all((await c.deps.rollouts.ofModel(modelId)).map((r) => fold(r.rolloutId)));
      expect(states.filter((s) => isLive(s.state))).toHaveLength(1);
    }
  });

  it('two rollouts of one version raced: one goes through', async () => {
    const modelId = await modelWith('1.0.0');
    const ids: number[] = [];
    for (let n = 0; n < 4; n += 1) {
      ids.push((await createRollout(c.deps, person(), { modelId, spec: spec('1.0.0') })).rolloutId);
    }
    const raced = await Promise.all(ids.map((rolloutId) => startRollout(c.deps, person(), { rolloutId })));
    expect(raced.filter((o) => o.outcome === 'appended')).toHaveLength(1);
  });
});

describe('completing', () => {
  it('is one append over four streams: rollout, version, model, the stable version before', async () => {
    const modelId = await released('1.0.0');
    await publish(c.deps, modelId, '1.1.0');
    const rolloutId = await live(modelId, '1.1.0', [100]);
    facts(await judgeRollout(c.deps, workflow(), { rolloutId, judgement: judgement('HEALTHY') }));
    const outcome = await completeRollout(c.deps, workflow(), { rolloutId, basis: 'auto', override: false });
    expect(facts(outcome)).toEqual([
      'RolloutCompleted',
      'DeploymentCompleted',
      'StableVersionChanged',
      'VersionSuperseded',
    ]);
    expect(streamsOf(outcome).size).toBe(4);
    expect(await modelOf(modelId)).toMatchObject({ stable: '1.1.0', stableHistory: ['1.0.0', '1.1.0'] });
    expect(await stateOf(modelId, '1.0.0')).toBe('Deployed.standby');
    expect(await stateOf(modelId, '1.1.0')).toBe('Deployed.live');
  });

  it('at once, by hand, is one append with the creation and the start, and keeps the reason', async () => {
    const modelId = await modelWith('1.0.0');
    const outcome = await createAndStart(c.deps, person(), { modelId, spec: spec('1.0.0', [100]), ...atOnce });
    expect(facts(outcome)).toEqual([
      'RolloutCreated',
      'RolloutStarted',
      'StageEntered',
      'DeploymentStarted',
      'RolloutCompleted',
      'DeploymentCompleted',
      'StableVersionChanged',
    ]);
    expect((await fold(outcome.rolloutId)).state).toBe('Completed');
    expect(await dataOf(`rollout-${outcome.rolloutId}`)).toEqual({ basis: 'manual', reason: 'a release by hand' });
  });

  it('is what advance out of the last stage does', async () => {
    const modelId = await modelWith('1.0.0');
    const rolloutId = await live(modelId, '1.0.0');
    const step = { rolloutId, override: true, reason: 'a demo' };
    expect(facts(await advanceRollout(c.deps, person(), step))).toEqual(['StageEntered']);
    expect(facts(await advanceRollout(c.deps, person(), step))).toContain('StableVersionChanged');
    expect((await advanceRollout(c.deps, person(), step)).outcome).toBe('already');
  });
});

describe('rolling back', () => {
  it('touches three streams during a rollout', async () => {
    const modelId = await released('1.0.0');
    await publish(c.deps, modelId, '1.1.0');
    const rolloutId = await live(modelId, '1.1.0');
    const outcome = await rollBack(c.deps, stopper(), { rolloutId, ...why });
    expect(facts(outcome)).toEqual(['RolloutRolledBack', 'VersionRolledBack', 'StableVersionRestored']);
    expect(streamsOf(outcome).size).toBe(3);
    expect(await stateOf(modelId, '1.1.0')).toBe('Rollback');
    expect(await stateOf(modelId, '1.0.0')).toBe('Deployed.live');
    expect((await fold(rolloutId)).context.rolledBack).toMatchObject({ target: '1.0.0', trigger: 'manual' });
  });

  it('touches four streams after completion, and finds the rollout by its model', async () => {
    const modelId = await released('1.0.0', '1.1.0');
    const outcome = await rollBack(c.deps, stopper(), { modelId, ...why });
    expect(facts(outcome)).toEqual([
      'RolloutRolledBack',
      'VersionRolledBack',
      'StableVersionRestored',
      'VersionRestored',
    ]);
    expect(streamsOf(outcome).size).toBe(4);
    expect(await modelOf(modelId)).toMatchObject({ stable: '1.0.0' });
    expect(await stateOf(modelId, '1.0.0')).toBe('Deployed.live');
  });

  it('touches two streams for a first release: the version is withdrawn', async () => {
    const modelId = await modelWith('1.0.0');
    const rolloutId = await live(modelId, '1.0.0');
    const outcome = await rollBack(c.deps, stopper(), { rolloutId, ...why });
    expect(facts(outcome)).toEqual(['RolloutRolledBack', 'VersionRolledBack']);
    expect((await fold(rolloutId)).context.rolledBack).toMatchObject({ target: null });
    expect(facts(await recordRootCause(c.deps, person(), { rolloutId, text: 'a layer' }))).toEqual([
      'RootCauseRecorded',
    ]);
  });

  it('withdraws a completed first release too: no version is stable any more', async () => {
    const modelId = await released('1.0.0');
    const { rolloutId } = (await c.deps.rollouts.ofModel(modelId))[0]!;
    expect(unmet(await rollBack(c.deps, stopper(), { modelId, ...why }))).toEqual(['target']);
    const outcome = await rollBack(c.deps, stopper(), { rolloutId, ...why });
    expect(facts(outcome)).toEqual(['RolloutRolledBack', 'VersionRolledBack', 'StableVersionRestored']);
    expect(await modelOf(modelId)).toMatchObject({ stable: null, stableHistory: ['1.0.0'] });
    expect(await stateOf(modelId, '1.0.0')).toBe('Rollback');
  });

  it('withdraws a completed version where no other may come back, by its rollout or by nothing', async () => {
    const { modelId, rolloutId } = await lastOne();
    const named = { rolloutId, ...why, targetVersion: '1.0.0' };
    expect(unmet(await rollBack(c.deps, stopper(), named))).toEqual(['target']);
    expect(unmet(await rollBack(c.deps, stopper(), { modelId, ...why }))).toEqual(['target']);
    expect(facts(await rollBack(c.deps, stopper(), { rolloutId, ...why }))).toContain('StableVersionRestored');
    expect(await modelOf(modelId)).toMatchObject({ stable: null, stableHistory: ['1.0.0', '1.1.0'] });
    expect(await stateOf(modelId, '1.1.0')).toBe('Rollback');
  });

  it('goes to an older stable version by name, and supersedes the one that was stable', async () => {
    const modelId = await released('1.0.0', '1.1.0');
    await publish(c.deps, modelId, '1.2.0');
    const rolloutId = await live(modelId, '1.2.0');
    for (const targetVersion of ['1.2.0', '9.9.9']) {
      expect(unmet(await rollBack(c.deps, stopper(), { rolloutId, ...why, targetVersion }))).toEqual(['target']);
    }
    facts(await rollBack(c.deps, stopper(), { rolloutId, ...why, targetVersion: '1.0.0' }));
    expect(await modelOf(modelId)).toMatchObject({ stable: '1.0.0' });
    expect(await stateOf(modelId, '1.0.0')).toBe('Deployed.live');
    expect(await stateOf(modelId, '1.1.0')).toBe('Deployed.standby');
  });

  it('never goes to a version that was rolled back', async () => {
    const modelId = await released('1.0.0', '1.1.0', '1.2.0');
    facts(await rollBack(c.deps, stopper(), { modelId, ...why }));
    facts(await rollBack(c.deps, stopper(), { modelId, ...why }));
    expect(await modelOf(modelId)).toMatchObject({ stable: '1.0.0' });
    expect(unmet(await rollBack(c.deps, stopper(), { modelId, ...why }))).toEqual(['target']);
  });

  it('by model, asked twice for the same version, rolls back once', async () => {
    const modelId = await released('1.0.0', '1.1.0', '1.2.0');
    const bad = { modelId, ...why, fromVersion: '1.2.0' };
    expect(unmet(await rollBack(c.deps, stopper(), { ...bad, fromVersion: '1.1.0' }))).toEqual(['inForce']);
    facts(await rollBack(c.deps, stopper(), bad));
    expect((await rollBack(c.deps, stopper(), bad)).outcome).toBe('already');
    expect(await modelOf(modelId)).toMatchObject({ stable: '1.1.0' });
  });

  it('by model, pressed by two at once, takes away the version that both meant and no other', async () => {
    const modelId = await released('1.0.0', '1.1.0', '1.2.0');
    let isFirst = true;
    const log: typeof c.deps.log = {
      ...c.deps.log,
      append: async (...call) => {
        if (isFirst) {
          isFirst = false;
          facts(await rollBack(c.deps, stopper(), { modelId, ...why }));
        }
        return c.deps.log.append(...call);
      },
    };
    expect((await rollBack({ ...c.deps, log }, stopper(), { modelId, ...why })).outcome).toBe('already');
    expect(await modelOf(modelId)).toMatchObject({ stable: '1.1.0' });
    expect(await stateOf(modelId, '1.1.0')).toBe('Deployed.live');
  });

  it('is refused for a completed rollout whose version is no longer stable', async () => {
    const modelId = await released('1.0.0', '1.1.0');
    const first = (await c.deps.rollouts.ofModel(modelId)).at(-1)!;
    const outcome = await rollBack(c.deps, stopper(), { rolloutId: first.rolloutId, ...why });
    expect(unmet(outcome)).toEqual(['stillStable']);
  });

  it('goes back to what an abort put back, not to what it took away', async () => {
    const modelId = await released('1.0.0', '1.1.0');
    const [newest] = await c.deps.rollouts.ofModel(modelId);
    facts(await abortRollout(c.deps, stopper(), { rolloutId: newest!.rolloutId, reason: 'slow' }));
    await publish(c.deps, modelId, '1.2.0');
    const rolloutId = await live(modelId, '1.2.0');
    facts(await rollBack(c.deps, stopper(), { rolloutId, ...why }));
    expect((await fold(rolloutId)).context.rolledBack).toMatchObject({ target: '1.0.0' });
  });
});

describe('a verdict', () => {
  const regressed = { judgement: judgement('REGRESSED') };

  it('convicts and rolls back in one append', async () => {
    const modelId = await released('1.0.0');
    await publish(c.deps, modelId, '1.1.0');
    const rolloutId = await live(modelId, '1.1.0');
    expect(facts(await judgeRollout(c.deps, stopper(), { rolloutId, ...regressed }))).toEqual([
      'HealthJudged',
      'RolloutRolledBack',
      'VersionRolledBack',
      'StableVersionRestored',
    ]);
    expect((await fold(rolloutId)).context.rolledBack).toMatchObject({
      trigger: 'verdict',
      evidence: { verdict: 'REGRESSED', look: 1 },
    });
  });

  it('convicts a paused rollout as well', async () => {
    const modelId = await modelWith('1.0.0');
    const rolloutId = await live(modelId, '1.0.0');
    facts(await pauseRollout(c.deps, person(), { rolloutId, reason: 'lunch' }));
    expect(facts(await judgeRollout(c.deps, stopper(), { rolloutId, ...regressed }))).toContain('VersionRolledBack');
  });

  it('convicts for a stage that a person left between the look and its fact', async () => {
    const modelId = await released('1.0.0');
    await publish(c.deps, modelId, '1.1.0');
    const rolloutId = await live(modelId, '1.1.0');
    facts(await advanceRollout(c.deps, person(), { rolloutId, override: true, reason: 'urgent' }));
    const healthy = { rolloutId, judgement: judgement('HEALTHY') };
    expect(unmet(await judgeRollout(c.deps, workflow(), healthy))).toEqual(['sameStage']);
    expect(facts(await judgeRollout(c.deps, stopper(), { rolloutId, ...regressed }))).toContain('VersionRolledBack');
    expect((await fold(rolloutId)).context).toMatchObject({
      stage: 1,
      looks: 0,
      judged: null,
      regressed: { stage: 0 },
    });
  });

  it('convicts where a person completed between the look and its fact, and never without the rollback', async () => {
    const modelId = await released('1.0.0');
    await publish(c.deps, modelId, '1.1.0');
    const rolloutId = await live(modelId, '1.1.0', [100]);
    const late = interrupted(c.deps, () =>
      advanceRollout(c.deps, person(), { rolloutId, override: true, reason: 'urgent' }),
    );
    const outcome = await judgeRollout(late, stopper(), { rolloutId, ...regressed });
    expect(facts(outcome)).toEqual(expect.arrayContaining(['HealthJudged', 'RolloutRolledBack', 'VersionRolledBack']));
    expect(await modelOf(modelId)).toMatchObject({ stable: '1.0.0' });
    expect(await stateOf(modelId, '1.1.0')).toBe('Rollback');

    await publish(c.deps, modelId, '1.2.0');
    const completed = await live(modelId, '1.2.0', [100]);
    facts(await advanceRollout(c.deps, person(), { rolloutId: completed, override: true, reason: 'urgent' }));
    const look = { rolloutId: completed, judgement: judgement('HEALTHY') };
    expect(unmet(await judgeRollout(c.deps, workflow(), look))).toEqual(['state']);
    await publish(c.deps, modelId, '1.3.0');
    facts(await createAndStart(c.deps, person(), { modelId, spec: spec('1.3.0', [100]), ...atOnce }));
    const old = await judgeRollout(c.deps, stopper(), { rolloutId: completed, ...regressed });
    expect(unmet(old)).toEqual(['stillStable']);
    expect((await fold(completed)).context.regressed).toBeNull();
  });

  it('holds where the spec says hold', async () => {
    const modelId = await modelWith('1.0.0');
    const rolloutId = await live(modelId, '1.0.0', [10, 100], { on_regressed: 'hold' });
    expect(facts(await judgeRollout(c.deps, stopper(), { rolloutId, ...regressed }))).toEqual(['HealthJudged']);
    expect((await fold(rolloutId)).state).toBe('Held');
  });

  it('withdraws the version where nothing else is in force: there is nothing to go back to', async () => {
    const modelId = await released('1.0.0');
    const [first] = await c.deps.rollouts.ofModel(modelId);
    facts(await rollBack(c.deps, stopper(), { rolloutId: first!.rolloutId, ...why }));
    await publish(c.deps, modelId, '1.1.0');
    const rolloutId = await live(modelId, '1.1.0');
    expect(facts(await judgeRollout(c.deps, stopper(), { rolloutId, ...regressed }))).toEqual([
      'HealthJudged',
      'RolloutRolledBack',
      'VersionRolledBack',
    ]);
    expect((await fold(rolloutId)).context.rolledBack).toMatchObject({ target: null });
  });

  it('that says nothing new is already so', async () => {
    const modelId = await modelWith('1.0.0');
    const rolloutId = await live(modelId, '1.0.0');
    const look = { rolloutId, judgement: judgement('HEALTHY') };
    facts(await judgeRollout(c.deps, workflow(), look));
    expect((await judgeRollout(c.deps, workflow(), look)).outcome).toBe('already');
  });
});

describe('aborting', () => {
  it('a rollout of the version that is stable meanwhile leaves it stable and live', async () => {
    const modelId = await released('1.0.0', '1.1.0');
    const second = (await c.deps.rollouts.ofModel(modelId)).find((r) => r.version === '1.1.0')!;
    const third = await live(modelId, '1.0.0', [25, 100]);
    facts(await rollBack(c.deps, stopper(), { rolloutId: second.rolloutId, ...why }));
    expect(await stateOf(modelId, '1.0.0')).toBe('Deployed.rolling');
    facts(await abortRollout(c.deps, stopper(), { rolloutId: third, reason: 'no need' }));
    expect(await modelOf(modelId)).toMatchObject({ stable: '1.0.0' });
    expect(await stateOf(modelId, '1.0.0')).toBe('Deployed.live');
  });

  it('withdraws a completed version where some other was stable and none may come back', async () => {
    const { modelId, rolloutId } = await lastOne();
    const outcome = await abortRollout(c.deps, stopper(), { rolloutId, reason: 'no' });
    expect(facts(outcome)).toEqual(['RolloutAborted', 'VersionSuperseded', 'StableVersionRestored']);
    expect(await modelOf(modelId)).toMatchObject({ stable: null });
    expect(await stateOf(modelId, '1.1.0')).toBe('Deployed.standby');
  });

  it('puts devices back without blame: the version stands by and may be rolled out again', async () => {
    const modelId = await released('1.0.0');
    await publish(c.deps, modelId, '1.1.0');
    const rolloutId = await live(modelId, '1.1.0');
    expect(facts(await abortRollout(c.deps, stopper(), { rolloutId, reason: 'no' }))).toEqual([
      'RolloutAborted',
      'VersionSuperseded',
    ]);
    expect(await stateOf(modelId, '1.1.0')).toBe('Deployed.standby');
    await live(modelId, '1.1.0');
  });

  it('of a pending rollout is one fact', async () => {
    const modelId = await modelWith('1.0.0');
    const { rolloutId } = await createRollout(c.deps, person(), { modelId, spec: spec('1.0.0') });
    expect(facts(await abortRollout(c.deps, stopper(), { rolloutId, reason: 'no' }))).toEqual(['RolloutAborted']);
    expect(await stateOf(modelId, '1.0.0')).toBe('Published');
  });

  it('of a completed rollout restores the stable version before', async () => {
    const modelId = await released('1.0.0', '1.1.0');
    const [newest] = await c.deps.rollouts.ofModel(modelId);
    expect(facts(await abortRollout(c.deps, stopper(), { rolloutId: newest!.rolloutId, reason: 'no' }))).toEqual([
      'RolloutAborted',
      'VersionSuperseded',
      'StableVersionRestored',
      'VersionRestored',
    ]);
    expect(await stateOf(modelId, '1.1.0')).toBe('Deployed.standby');
    expect(await modelOf(modelId)).toMatchObject({ stable: '1.0.0' });
  });

  it('raced with an advance, wins', async () => {
    const modelId = await modelWith('1.0.0');
    const rolloutId = await live(modelId, '1.0.0', [10, 50, 100]);
    const step = { rolloutId, override: true, reason: 'race' };
    const [stopped] = await Promise.all([
      abortRollout(c.deps, stopper(), { rolloutId, reason: 'no' }),
      advanceRollout(c.deps, person(), step),
      advanceRollout(c.deps, person(), step),
    ]);
    expect(stopped.outcome).toBe('appended');
    expect((await fold(rolloutId)).state).toBe('Aborted');
  });
});

describe('finding the rollouts of a model', () => {
  it('reads an index, however long the log is', async () => {
    const pool = createPool({ connectionString: c.appUrl, max: 1 });
    const { rows } = await pool.query<{ 'QUERY PLAN': string }>(
      `EXPLAIN ${namedSql('rollouts_of_model').replaceAll('$1', `'some-model'`)}`,
    );
    await pool.end();
    const plan = rows.map((r) => r['QUERY PLAN']).join('\n');
    expect(plan).toContain('events_rollouts_of_model');
    expect(plan).not.toContain('Seq Scan');
  });
});
