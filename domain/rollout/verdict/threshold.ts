/** Pure. What a log must reach: α is shared by all tests of all stages, whole ones and those of segments alike. */
import type { EvidencePolicy } from '../../events/verdict.ts';
import { millionths } from './logs.ts';
import type { Metric } from './metrics.ts';

/** N: the stages of the spec, and two more for percentages that are set by hand. */
export const partsOf = (stages: number): number => stages + 2;

export interface Tests {
  /** J. */
  readonly whole: number;
  /** K. */
  readonly segments: number;
}

/** Tests of a stage: G where there is a control to compare with, A where there is a limit, G again for each segment. */
export function testsOf(
  measured: readonly Metric[],
  policy: EvidencePolicy,
  hasControl: boolean,
  segments: number,
): Tests {
  const compared = hasControl ? measured.filter((metric) => metric.compared).length : 0;
  const limited = measured.filter((metric) => policy.metrics[metric.policy]?.limit != null).length;
  return { whole: compared + limited, segments: compared * segments };
}

/** ln((J + K) · N / α). */
export const lnThreshold = ({ whole, segments }: Tests, stages: number, alpha: number): number =>
  Math.log((Math.max(1, whole + segments) * partsOf(stages)) / alpha);

/** Below it no test is suspicious: ln(5 · (J + K)), in millionths. */
export const suspicion = ({ whole, segments }: Tests): number =>
  millionths(Math.log(5 * Math.max(1, whole + segments)));
