/** The next step of a rollout, from where it stands. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { RolloutSpec, Verdict } from '../events/rollout.ts';
import { nextStep, type RolloutView } from './plan.ts';
import { clockMs } from './stageClock.ts';
import { judgementOf, specOf } from './pointer.fixture.ts';

const spec = specOf('1.1.0');
const entered = { from: 0, to: 1000, rampMs: 10_000, minBakeMs: 10_000, maxBakeMs: 20_000 };
const view = (more: Partial<RolloutView> = {}): RolloutView => ({
  state: 'Active',
  spec,
  stage: 0,
  entered,
  clock: { ranMs: 0, since: 0 },
  lastJudgement: null,
  ...more,
});
const judged = (verdict: Verdict, stage = 0) =>
  judgementOf(verdict, { stage, missing: verdict === 'INCONCLUSIVE' ? ['x'] : [] });

describe('the next step', () => {
  it('bakes: to the least time, then to the most, and then asks for a look', () => {
    expect(nextStep(view(), 5_000)).toEqual({ kind: 'bake', stage: 0, leftMs: 15_000, until: 'min' });
    expect(nextStep(view({ lastJudgement: judged('PENDING') }), 20_000)).toEqual({
      kind: 'bake',
      stage: 0,
      leftMs: 10_000,
      until: 'max',
    });
    expect(nextStep(view(), 99_000)).toEqual({ kind: 'bake', stage: 0, leftMs: 0, until: 'max' });
  });

  it('climbs on health, and only after the least bake', () => {
    const healthy = view({ lastJudgement: judged('HEALTHY') });
    expect(nextStep(healthy, 19_999)).toEqual({ kind: 'bake', stage: 0, leftMs: 1, until: 'min' });
    expect(nextStep(healthy, 20_000)).toEqual({ kind: 'enterStage', stage: 1 });
  });

  it('completes 100 % of everyone; a smaller target or a cohort stays', () => {
    const last = { stage: 1, lastJudgement: judged('HEALTHY', 1) };
    expect(nextStep(view(last), 20_000)).toEqual({ kind: 'complete' });
    expect(nextStep(view({ ...last, spec: { ...spec, cohort: { platform: ['ios'] } } }), 20_000)).toEqual({
      kind: 'wait',
    });
    const half = { ...spec, stages: [spec.stages[0]!, { ...spec.stages[1]!, percent: 50 }] };
    expect(nextStep(view({ ...last, spec: half }), 20_000)).toEqual({ kind: 'wait' });
  });

  it('does not take the health of an earlier stage for this one', () => {
    expect(nextStep(view({ stage: 1, lastJudgement: judged('HEALTHY', 0) }), 20_000)).toMatchObject({ kind: 'bake' });
  });

  it('pauses what is inconclusive, waits where a person must act, and ends', () => {
    expect(nextStep(view({ lastJudgement: judged('INCONCLUSIVE') }), 30_000)).toEqual({
      kind: 'pauseInconclusive',
      missing: ['x'],
    });
    expect(nextStep(view({ lastJudgement: judged('REGRESSED') }), 30_000)).toEqual({ kind: 'wait' });
    for (const state of ['Pending', 'Held', 'Paused'] as const)
      expect(nextStep(view({ state }), 99_000)).toEqual({ kind: 'wait' });
    for (const state of ['Completed', 'RolledBack', 'Aborted'] as const)
      expect(nextStep(view({ state }), 0)).toEqual({ kind: 'done' });
  });

  it('is told by the stage clock: a stopped one does not move', () => {
    expect(clockMs({ ranMs: 700, since: null }, 9_000)).toBe(700);
    expect(clockMs({ ranMs: 700, since: 1_000 }, 9_000)).toBe(8_700);
    expect(clockMs({ ranMs: 700, since: 9_000 }, 1_000)).toBe(700);
  });
});

const verdicts: readonly Verdict[] = ['PENDING', 'HEALTHY', 'REGRESSED', 'INCONCLUSIVE'];
const ms = fc.integer({ min: 0, max: 100_000 });
const anySpec: fc.Arbitrary<RolloutSpec> = fc
  .record({
    percents: fc.uniqueArray(fc.constantFrom(1, 10, 50, 100), { minLength: 1, maxLength: 4 }),
    cohort: fc.boolean(),
  })
  .map(({ percents, cohort }) => ({
    ...spec,
    stages: percents.toSorted((a, b) => a - b).map((percent) => ({ ...spec.stages[0]!, percent })),
    ...(cohort ? { cohort: { platform: ['ios'] } } : {}),
  }));
const anyView: fc.Arbitrary<RolloutView> = fc.record({
  state: fc.constantFrom(
    'Pending',
    'Active',
    'Active',
    'Active',
    'Held',
    'Paused',
    'Completed',
    'RolledBack',
    'Aborted',
  ),
  spec: anySpec,
  stage: fc.integer({ min: -1, max: 4 }),
  entered: fc.option(fc.record({ from: ms, to: ms, rampMs: ms, minBakeMs: ms, maxBakeMs: ms })),
  clock: fc.record({ ranMs: ms, since: fc.option(ms) }),
  lastJudgement: fc.option(
    fc
      .record({ verdict: fc.constantFrom(...verdicts), stage: fc.integer({ min: 0, max: 4 }) })
      .map(({ verdict, stage }) => judged(verdict, stage)),
  ),
});

describe('laws of the plan', () => {
  it('whatever the view: it answers, and goes up or completes only healthy, baked, active and in order', () => {
    fc.assert(
      fc.property(anyView, ms, (v, now) => {
        const step = nextStep(v, now);
        if (step.kind === 'bake') expect(step.leftMs).toBeGreaterThanOrEqual(0);
        if (step.kind !== 'complete' && step.kind !== 'enterStage') return;
        expect(v.state).toBe('Active');
        expect(v.lastJudgement).toMatchObject({ verdict: 'HEALTHY', stage: v.stage });
        expect(clockMs(v.clock, now)).toBeGreaterThanOrEqual(v.entered!.rampMs + v.entered!.minBakeMs);
        if (step.kind === 'enterStage') {
          expect(step.stage).toBe(v.stage + 1);
          expect(step.stage).toBeLessThan(v.spec.stages.length);
        } else {
          expect(v.stage).toBeGreaterThanOrEqual(v.spec.stages.length - 1);
          expect(v.spec.stages.at(-1)!.percent).toBe(100);
          expect(v.spec.cohort).toBeUndefined();
        }
      }),
      { numRuns: 2_000 },
    );
  });

  it('followed step by step under any verdicts, it ends, pauses or waits within its stages', () => {
    fc.assert(
      fc.property(anySpec, fc.array(fc.constantFrom(...verdicts), { minLength: 5, maxLength: 5 }), (s, answers) => {
        let v = view({ spec: s });
        let now = 0;
        let looks = 0;
        for (let turns = 0; turns < 100; turns += 1) {
          const step = nextStep(v, now);
          if (step.kind === 'bake') {
            now += step.leftMs;
            const isOver = step.until === 'max' && step.leftMs === 0;
            const verdict = isOver ? 'INCONCLUSIVE' : answers[looks++ % answers.length]!;
            v = { ...v, lastJudgement: judged(verdict, v.stage) };
          } else if (step.kind === 'enterStage') {
            v = { ...v, stage: step.stage, clock: { ranMs: 0, since: now }, lastJudgement: null };
          } else {
            expect(['complete', 'pauseInconclusive', 'wait']).toContain(step.kind);
            return;
          }
        }
        throw new Error('went on for 100 turns');
      }),
    );
  });
});
