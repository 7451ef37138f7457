/** A folded rollout as the plain data that plan and judge take. */
import type { ArmCounters, Judgement } from '../domain/events/rollout.ts';
import type { RolloutView as Standing } from '../domain/rollout/plan.ts';
import { clockMs } from '../domain/rollout/stageClock.ts';
import { judge } from '../domain/rollout/thresholds.ts';
import { exists } from '../machines/fold.ts';
import type { RolloutState } from '../machines/rollout.ts';

/** @throws Error before RolloutCreated (a bug: such a stream has no facts) */
export function rolloutStanding(rollout: RolloutState): Standing {
  const { spec, entered } = rollout.context;
  if (!exists(rollout) || !spec) throw new Error('a rollout without its spec');
  const { state, context } = rollout;
  return {
    state,
    spec,
    stage: context.stage,
    entered: entered && {
      from: entered.from,
      to: entered.to,
      rampMs: entered.ramp_ms,
      minBakeMs: entered.min_bake_ms,
      maxBakeMs: entered.max_bake_ms,
    },
    clock: context.clock,
    lastJudgement: context.judged,
  };
}

/** One look at the stage that runs; undefined before the first. */
export function lookAt(
  rollout: RolloutState,
  counters: { readonly canary: ArmCounters; readonly control: ArmCounters },
  now: number,
): Judgement | undefined {
  const { spec, stage, entered, clock } = rolloutStanding(rollout);
  if (!entered) return undefined;
  return judge({
    spec,
    stage,
    look: rollout.context.looks + 1,
    counters,
    setAside: rollout.context.setAside,
    clockMs: clockMs(clock, now),
    rampMs: entered.rampMs,
    minBakeMs: entered.minBakeMs,
    maxBakeMs: entered.maxBakeMs,
  });
}
