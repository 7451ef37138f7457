/** The next step of a training run, from where it stands. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { backoffMs, planTraining, type TrainingStanding } from './plan.ts';
import { trainingSpec } from './trainingSpec.fixture.ts';

const spec = { ...trainingSpec, rounds: 3, min_updates: 2, goal: 2 };
const MIN = 60_000;
const NOW = 1_000_000_000;
const fresh = {
  spec,
  now: NOW,
  isPaused: false,
  isFaulty: false,
  phase: 'between',
  rounds: 0,
  isUnevaluated: false,
  attempts: 0,
  missedInRow: 0,
  lastAbandoned: null,
} satisfies TrainingStanding;
const collecting = (counted: number, sinceOpenMs: number): TrainingStanding => ({
  ...fresh,
  phase: 'collecting',
  current: {
    round: 1,
    attempt: 1,
    deadline: NOW - sinceOpenMs + 10 * MIN,
    hardDeadline: NOW - sinceOpenMs + 20 * MIN,
    minUpdates: 2,
    counted,
  },
});

describe('the plan of a training run', () => {
  it('opens round after round, and finishes after the last', () => {
    expect(planTraining(fresh)).toEqual({ kind: 'open', round: 1, attempt: 1 });
    expect(planTraining({ ...fresh, rounds: 2 })).toEqual({ kind: 'open', round: 3, attempt: 1 });
    expect(planTraining({ ...fresh, rounds: 3 })).toEqual({ kind: 'finish' });
  });

  it('collects to the deadline, closes there with a quorum, and else waits for the hard deadline', () => {
    expect(planTraining(collecting(0, 4 * MIN))).toEqual({ kind: 'collect', leftMs: 6 * MIN });
    expect(planTraining(collecting(1, 10 * MIN))).toEqual({ kind: 'collect', leftMs: 10 * MIN });
    expect(planTraining(collecting(2, 10 * MIN))).toEqual({ kind: 'close' });
    expect(planTraining(collecting(1, 20 * MIN))).toEqual({ kind: 'abandon', reason: 'quorum_miss' });
  });

  it('backs off 1, 2, 4 … minutes, at most 30, and pauses after three misses in a row', () => {
    expect([1, 2, 3, 6, 40].map((missed) => backoffMs(spec, missed) / MIN)).toEqual([1, 2, 4, 30, 30]);
    const missed = (missedInRow: number, agoMs: number) =>
      planTraining({
        ...fresh,
        attempts: missedInRow,
        missedInRow,
        lastAbandoned: { reason: 'quorum_miss', at: NOW - agoMs },
      });
    expect(missed(1, 20_000)).toEqual({ kind: 'wait', leftMs: 40_000 });
    expect(missed(2, 2 * MIN)).toEqual({ kind: 'open', round: 1, attempt: 3 });
    expect(missed(3, 0)).toEqual({ kind: 'pause', reason: 'quorum_miss' });
  });

  it('opens no round while paused, but ends the one that is open', () => {
    expect(planTraining({ ...fresh, isPaused: true })).toEqual({ kind: 'wait', leftMs: null });
    expect(planTraining({ ...collecting(2, 10 * MIN), isPaused: true })).toEqual({ kind: 'close' });
    expect(planTraining({ ...fresh, isPaused: true, phase: 'closed' })).toEqual({ kind: 'aggregate' });
    // What failed the same way each time is not tried before a person resumes the run.
    const faulty = { isPaused: true, isFaulty: true };
    for (const run of [fresh, collecting(2, 10 * MIN), { ...fresh, phase: 'closed' as const }])
      expect(planTraining({ ...run, ...faulty })).toEqual({ kind: 'wait', leftMs: null });
    expect(planTraining({ ...fresh, ...faulty, phase: 'over' })).toEqual({ kind: 'done' });
  });

  it('evaluates a round before the next one, if the spec has an evaluation set', () => {
    const evaluated = { ...spec, evaluation: { set: 'b'.repeat(64) } };
    expect(planTraining({ ...fresh, spec: evaluated, rounds: 1, isUnevaluated: true })).toEqual({ kind: 'evaluate' });
    expect(planTraining({ ...fresh, rounds: 1, isUnevaluated: true }).kind).toBe('open');
    // Whoever paused it: a failing evaluation could not say so.
    const paused = { ...fresh, spec: evaluated, rounds: 1, isUnevaluated: true, isPaused: true };
    expect(planTraining(paused)).toEqual({ kind: 'wait', leftMs: null });
  });

  it('never waits for a time that has passed', () => {
    const property = fc.property(
      fc.integer({ min: 0, max: 40 * MIN }),
      fc.nat(5),
      fc.nat(4),
      (since, counted, missed) => {
        const steps = [
          planTraining(collecting(counted, since)),
          planTraining({ ...fresh, missedInRow: missed, lastAbandoned: { reason: 'quorum_miss', at: NOW - since } }),
        ];
        return steps.every((s) => !('leftMs' in s) || s.leftMs === null || s.leftMs > 0);
      },
    );
    fc.assert(property);
  });
});
