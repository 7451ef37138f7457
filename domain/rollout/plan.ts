/**
 * Pure. What a rollout does next: the one place that knows the order of stages, bakes and the end. Workflows ask, wait, and
 * submit the answer; the rollout's machine has the last word.
 */
import type { HealthJudgement, RolloutSpec } from '../events/rollout.ts';
import type { RolloutStateName } from '../states.ts';
import { isPrerelease } from '../semver.ts';
import { consequence } from './consequence.ts';
import { clockMs, type RunningClock } from './stageClock.ts';

/** A rollout as plain data, from the fold of its stream. Times are Unix milliseconds. */
export interface RolloutView {
  readonly state: RolloutStateName;
  readonly spec: RolloutSpec;
  /** -1 before the first stage. */
  readonly stage: number;
  readonly entered: {
    readonly from: number;
    readonly to: number;
    readonly rampMs: number;
    readonly minBakeMs: number;
    readonly maxBakeMs: number;
  } | null;
  readonly clock: RunningClock;
  /** The last judgement of this stage: what of it decides. */
  readonly lastJudgement: Pick<HealthJudgement, 'stage' | 'verdict' | 'missing'> | null;
}

export type NextStep =
  | { readonly kind: 'enterStage'; readonly stage: number }
  /** Keep looking. `leftMs` is 0 where the bake is over and the judge has not said so yet: look now. */
  | { readonly kind: 'bake'; readonly stage: number; readonly leftMs: number; readonly until: 'min' | 'max' }
  | { readonly kind: 'complete' }
  | { readonly kind: 'pauseInconclusive'; readonly missing: readonly string[] }
  /** Only a fact from outside moves it: a person, a start, a rollback. */
  | { readonly kind: 'wait' }
  | { readonly kind: 'done' };

/**
 * Where the rollout ends by itself: 100 % of everyone. A smaller target, or a cohort, stays where it is and is judged; so does
 * a pre-release, which never becomes stable.
 */
export const completesByItself = (spec: RolloutSpec) =>
  spec.stages.at(-1)?.percent === 100 && !isTargeted(spec) && !isPrerelease(spec.version);

/** Not for everyone. */
export const isTargeted = ({ cohort, exclude }: RolloutSpec): boolean => cohort !== undefined || exclude !== undefined;

/**
 * The next step at `now`. Never throws, always answers; the same view and time give the same step.
 *
 * A verdict that advances and a bake of at least `min_bake` lead on; one that asks pauses, whenever it comes; one that holds or rolls back
 * waits here, since the append that recorded it has already done so.
 */
export function nextStep(view: RolloutView, now: number): NextStep {
  const { state, spec, stage, entered, lastJudgement } = view;
  if (state === 'Completed' || state === 'RolledBack' || state === 'Aborted') return { kind: 'done' };
  if (state !== 'Active' || !entered) return { kind: 'wait' };

  const verdict = lastJudgement?.stage === stage ? lastJudgement.verdict : 'PENDING';
  const follows = consequence(spec, verdict);
  if (follows === 'hold' || follows === 'rollback') return { kind: 'wait' };
  if (follows === 'ask') return { kind: 'pauseInconclusive', missing: lastJudgement?.missing ?? [] };

  const clock = clockMs(view.clock, now);
  const minMs = entered.rampMs + entered.minBakeMs;
  if (clock < minMs) return { kind: 'bake', stage, leftMs: minMs - clock, until: 'min' };
  if (follows !== 'advance') {
    const leftMs = Math.max(0, entered.rampMs + entered.maxBakeMs - clock);
    return { kind: 'bake', stage, leftMs, until: 'max' };
  }
  if (stage + 1 < spec.stages.length) return { kind: 'enterStage', stage: stage + 1 };
  return completesByItself(spec) ? { kind: 'complete' } : { kind: 'wait' };
}
