/** Pure. What a verdict does to a rollout, by the algorithm of its spec; and whether a look says anything new. */
import type { HealthJudgement, RolloutSpec } from '../events/rollout.ts';
import { evidencePolicy, isEvidence } from './policies.ts';
import { consequenceOf, type Consequence } from './verdict/consequence.ts';

/** Fixed limits know four verdicts: HEALTHY goes on, INCONCLUSIVE asks. */
export function consequence(
  spec: Pick<RolloutSpec, 'policy' | 'on_regressed'>,
  verdict: HealthJudgement['verdict'],
): Consequence {
  const { on_regressed } = spec;
  const if_unproven = evidencePolicy(spec)?.if_unproven ?? 'auto';
  return consequenceOf(verdict, { if_unproven, on_regressed });
}

/**
 * Whether a judgement is recorded: its verdict, who is named, or what is proven is new, or it is one of the two looks that may prove.
 *
 * @param before the last one of this stage; null: none was recorded, or a person set it aside
 * @param proven metrics that were proven by then
 */
export function saysMore(
  before: HealthJudgement | null,
  proven: readonly string[],
  judgement: HealthJudgement,
): boolean {
  if (judgement.verdict !== (before?.verdict ?? 'PENDING')) return true;
  if (!isEvidence(judgement)) return false;
  const named = before && isEvidence(before) ? (before.guilt?.named ?? null) : null;
  return (
    judgement.given.proof_look ||
    (judgement.guilt?.named ?? null) !== named ||
    judgement.proven.some((metric) => !proven.includes(metric))
  );
}
