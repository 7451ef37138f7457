/** Pure. Proven healthy: exact tails, asked at two looks of a stage only, so that looking often does not make a proof cheap. */
import { durationMs } from '../../duration.ts';
import type { Stage } from '../../events/rollout.ts';
import type { EvidencePolicy } from '../../events/verdict.ts';
import { shareOf, type Tally } from './comparison.ts';
import { millionths } from './logs.ts';
import type { Metric } from './metrics.ts';
import { lnAtMost } from './tails.ts';
import { partsOf } from './threshold.ts';

/** Proof looks of a stage, and ways to be proven: what β is shared by, beside the stages. */
const WAYS = 4;

/** ln of what a chance must not pass: β/(4N). */
export const proofLevel = (stages: number, beta: number): number => Math.log(beta / (WAYS * partsOf(stages)));

/** Windows of canary and of control. */
type Arms = readonly [canary: number, control: number];

/**
 * ln of the chance to see so few bad windows of canary if it were `proven` times as bad as control. The smaller of two shares stands for θ: a canary
 * that is worse has more bad windows where it has more windows, which raises the mean over bad ones and would make a proof cheap
 * (docs/adr/0028-a-proof-takes-the-smaller-share.md).
 *
 * @param windows that count for θ
 */
export function lnIfWorse(tally: Tally, [canary, control]: Arms, proven: number): number {
  const theta = Math.min(shareOf(tally), canary / Math.max(1, canary + control));
  return lnAtMost(tally.x, tally.x + tally.y, (theta * proven) / (1 - theta + theta * proven));
}

/** Share of bad devices of a metric that harms nobody; null: none is known, so nothing is harmless. */
export const negligibleOf = (metric: Metric, policy: EvidencePolicy): number | null =>
  policy.verdict.negligible ?? metric.negligible ?? policy.metrics[metric.policy]?.limit ?? metric.limit;

/**
 * Whether a metric is proven: not `proven` times as bad as control, or so rare that it harms nobody. Without control only the second exists.
 *
 * @source docs/design/judge.md "Proven healthy"
 */
export function isProven(
  metric: Metric,
  { whole, opened, ended }: { readonly whole: Tally; readonly opened: Arms; readonly ended: Arms },
  {
    policy,
    stages,
    hasControl,
  }: { readonly policy: EvidencePolicy; readonly stages: number; readonly hasControl: boolean },
): boolean {
  const level = millionths(proofLevel(stages, policy.verdict.beta));
  const isRelative = hasControl && metric.compared;
  const counted = metric.counts === 'opened' ? opened : ended;
  if (isRelative && millionths(lnIfWorse(whole, counted, policy.verdict.proven)) <= level) return true;
  const negligible = negligibleOf(metric, policy);
  return negligible !== null && millionths(lnAtMost(whole.x, ended[0], negligible)) <= level;
}

/** Whether this look is one of the stage's two that may prove: the first at or after ramp + min_bake, and after ramp + max_bake. */
export function isProofLook(stage: Stage, clockMs: number, lastClockMs: number): boolean {
  const ramp = durationMs(stage.ramp);
  return [stage.min_bake, stage.max_bake].some((bake) => {
    const at = ramp + durationMs(bake);
    return lastClockMs < at && clockMs >= at;
  });
}
