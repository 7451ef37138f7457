/** Pure. Who is hurt: the worst segment, if without it nothing is left to explain. */
import type { Guilt, JudgedSegment } from '../../events/verdict.ts';
import { excessOf, lnG, shareOf, type Tally } from './comparison.ts';
import { millionths } from './logs.ts';
import { attributeRank } from './segments.ts';

/** With an ln G of this or more, the others are guilty too. */
const REST = millionths(Math.log(20));

/** Largest ln G first; ties: platform before OS before app before region, then by name. */
export const byGuilt = (a: JudgedSegment, b: JudgedSegment): number =>
  b.ln_g - a.ln_g ||
  attributeRank(a.segment) - attributeRank(b.segment) ||
  (a.segment < b.segment ? -1 : a.segment > b.segment ? 1 : 0);

/**
 * Names the segment with the largest ln G of the metric, where the rest is below ln 20; else everyone.
 *
 * @param segments of this metric, any order
 * @param restOf   the tally of everyone outside a segment
 */
export function attribute(
  metric: string,
  segments: readonly JudgedSegment[],
  restOf: (segment: string) => Tally,
  tolerated: number,
): Guilt {
  const worst = narrowest([...segments].sort(byGuilt));
  if (!worst) return { metric, by: 'G', named: null, rest: null };
  const { x, y, theta } = restOf(worst.segment);
  const left = millionths(lnG(x, y, shareOf({ x, y, theta }), tolerated));
  return { metric, by: 'G', named: left < REST ? worst.segment : null, rest: { segment: worst.segment, x, y, theta } };
}

/**
 * The first, or, where that is a platform, its operating system with nine of ten of its bad windows. A handful of crashes on one system convicts
 * before control has shown any, and then both tests have the same windows and differ by the chance of θ alone
 * (docs/adr/0027-the-operating-system-before-its-platform.md).
 */
function narrowest([worst, ...others]: readonly JudgedSegment[]): JudgedSegment | undefined {
  if (!worst?.segment.startsWith('platform:')) return worst;
  const inside = `os:${worst.segment.slice('platform:'.length)} `;
  return others.find((other) => other.segment.startsWith(inside) && 10 * other.x >= 9 * worst.x) ?? worst;
}

/** Where it was worst, for a reader: by falling excess over what control explains. */
export const ranked = (segments: readonly JudgedSegment[]): readonly (JudgedSegment & { readonly excess: number })[] =>
  segments.map((s) => ({ ...s, excess: excessOf(s) })).sort((a, b) => b.excess - a.excess || byGuilt(a, b));
