/** A rollout as the Lifecycle API shows it. */
import { clockMs } from '../../../domain/rollout/stageClock.ts';
import type { Existing } from '../../../machines/fold.ts';
import type { RolloutState } from '../../../machines/rollout.ts';
import type { RolloutRow } from '../../../projections/rollouts/schema.ts';
import type { Rollout, RolloutSummary } from '../../../wire/rollout.ts';
import { instant, instantOrNull } from '../../instant.ts';
import { percentNow, rolloutStatus } from '../../rolloutStatus.ts';

/** @param at Unix ms by which the stage clock is read */
export function rolloutView(id: number, folded: Existing<RolloutState>, at: number): Rollout {
  const { context, state } = folded;
  const spec = context.spec!; // a rollout that exists was created, and its first fact carries the spec
  const clock = clockMs(context.clock, at);
  const needed = (context.entered?.ramp_ms ?? 0) + (context.entered?.min_bake_ms ?? 0);
  const { rolledBack, paused, aborted } = context;
  return {
    id,
    model_id: context.modelId,
    version: context.version,
    previous_version: context.previous,
    status: rolloutStatus(state),
    state,
    stage: context.stage,
    stages: spec.stages,
    percent_now: percentNow(folded, at),
    percent_target: spec.stages.at(-1)!.percent,
    clock_ms: clock,
    bake_left_ms: Math.max(0, needed - clock),
    spec,
    seed: context.seed,
    judged: context.judged,
    paused: paused && state === 'Paused' ? { ...paused, at: instant(paused.at) } : null,
    rolled_back: rolledBack && {
      target: rolledBack.target,
      trigger: rolledBack.trigger,
      reason: rolledBack.reason,
      evidence: rolledBack.evidence,
      at: instant(rolledBack.at),
    },
    aborted: aborted && { ...aborted, at: instant(aborted.at) },
    root_causes: context.rootCauses.map((c) => ({ text: c.text, at: instant(c.at) })),
    created_at: instant(context.createdAt),
    started_at: instantOrNull(context.startedAt),
    completed_at: instantOrNull(context.completedAt),
    updated_at: instant(context.updatedAt),
    stream_version: folded.version,
  };
}

/** A row of the read model. */
export const rolloutSummaryView = (row: RolloutRow): RolloutSummary => ({
  id: row.rollout_id,
  model_id: row.model_id,
  version: row.version,
  previous_version: row.previous_version,
  status: rolloutStatus(row.state),
  stage: row.stage,
  stages: row.spec.stages,
  percent_target: row.spec.stages.at(-1)!.percent,
  created_at: row.created_at,
  started_at: row.started_at,
  completed_at: row.completed_at,
  updated_at: row.updated_at,
});
