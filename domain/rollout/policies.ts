/** Pure. Which algorithm judges a rollout, by the policy of its spec. */
import { durationMs } from '../duration.ts';
import type { HealthJudgement, Judgement, RolloutSpec, RulesPolicy } from '../events/rollout.ts';
import type { EvidenceJudgement, EvidencePolicy } from '../events/verdict.ts';

/** The policy `evidence` of a spec; undefined under fixed limits. */
export const evidencePolicy = ({ policy }: Pick<RolloutSpec, 'policy'>): EvidencePolicy | undefined =>
  'rules' in policy ? undefined : policy;

/** Fixed limits of a spec; undefined under `evidence`. */
export const rulesPolicy = ({ policy }: Pick<RolloutSpec, 'policy'>): RulesPolicy | undefined =>
  'rules' in policy ? policy : undefined;

/** How long a device may be silent, milliseconds; null under fixed limits. */
export function silenceAfterMs(spec: Pick<RolloutSpec, 'policy'>): number | null {
  const after = evidencePolicy(spec)?.metrics['silence']?.after;
  return after === undefined ? null : durationMs(after);
}

/** Percent of the cohort that stays on the stable version until the rollout ends. */
export const holdbackOf = (spec: Pick<RolloutSpec, 'policy'>): number => evidencePolicy(spec)?.holdback ?? 0;

export const isEvidence = (judgement: HealthJudgement): judgement is EvidenceJudgement =>
  judgement.algorithm === 'verdict@1';
export const isThresholds = (judgement: HealthJudgement): judgement is Judgement =>
  judgement.algorithm === 'thresholds@1';
