/** Pure. What a start and a stage fix, so that every later look asks the same questions (docs/design/judge.md "Recorded, recomputed"). */
import type { RolloutSpec } from '../../events/rollout.ts';
import type { EvidencePolicy, FrozenEvidence, StageEvidence } from '../../events/verdict.ts';
import { METRICS, type Metric } from './metrics.ts';
import { preflightStage, type StagePreflight } from './preflight.ts';
import type { FleetReading } from './reading.ts';

/** A fleet as it is before a stage, and the version that control runs. */
export interface KnownFleet extends Pick<FleetReading, 'leaves'> {
  /** False: no version is stable, so only limits are watched. */
  readonly hasStable: boolean;
}

/**
 * Rows that are measured: those always sent, and those that control sent. Latency needs a q, drift the accuracy that was promised. Without
 * control, whatever canary may send that has a limit.
 *
 * @param accuracy of the stable version on its validation data, 0 to 1; null: not known
 */
export function freezeReading(
  { measured, frozenQ }: Omit<FleetReading, 'leaves'>,
  { hasStable, accuracy }: { readonly hasStable: boolean; readonly accuracy: number | null },
  policy: EvidencePolicy,
  table: readonly Metric[] = METRICS,
): FrozenEvidence {
  const isSent = (row: Metric): boolean => {
    if (row.always) return true;
    if (!hasStable) return policy.metrics[row.policy]?.limit != null;
    if (row.slower !== undefined && Object.keys(frozenQ).length === 0) return false;
    if (row.ends.by === 'samples' && row.ends.of === 'labelled' && accuracy === null) return false;
    return measured.includes(row.policy);
  };
  return {
    measured: table.filter(isSent).map((row) => row.name),
    frozen_q: hasStable ? { ...frozenQ } : {},
    accuracy: accuracy === null ? null : Math.round(accuracy * 1_000_000),
  };
}

/** What pre-flight says of one stage, in the shape of its fact. @throws RangeError where the spec has no such stage (a bug) */
export function foreseeStage(
  spec: Pick<RolloutSpec, 'stages'>,
  evidence: EvidencePolicy,
  stage: number,
  { leaves, hasStable }: KnownFleet,
  { measured }: Pick<FrozenEvidence, 'measured'>,
): StageEvidence {
  return stageEvidence(
    preflightStage({ stages: spec.stages, evidence }, stage, { leaves, hasControl: hasStable, measured }),
    hasStable,
  );
}

export const stageEvidence = (said: StagePreflight, hasStable: boolean): StageEvidence => ({
  has_control: hasStable && said.buckets < 10_000,
  segments: [...said.segments],
  expected: [said.canary, said.control],
  can_prove: said.canProve,
  convicts: Object.fromEntries(said.metrics.map(({ metric, convicts }) => [metric, convicts])),
});
