/**
 * Pure. G: the evidence against "canary is at most `tolerated` times as bad as control", a mixture sequential probability ratio test
 * (Robbins 1970; Johari et al. 2022). It may be looked at any number of times.
 */
import { lnMeanExp } from './logs.ts';

/** How many times as bad as tolerated: what the mixture looks for. */
const MULTIPLES = [1.25, 1.5, 2, 3, 5, 10, 25, 100] as const;
const LN_MULTIPLES = MULTIPLES.map(Math.log);

/** Bad windows of both arms of one test. Integers. */
export interface Tally {
  /** Bad windows of canary. */
  readonly x: number;
  /** Bad windows of control. */
  readonly y: number;
  /** Canary's share of the windows beside each bad one, in millionths, summed over the x + y (docs/design/judge.md "Two arms in step"). */
  readonly theta: number;
}

/** θ of a test: the mean share, 0 to 1; 0 where nothing is bad. */
export const shareOf = ({ x, y, theta }: Tally): number => (x + y === 0 ? 0 : theta / (x + y) / 1_000_000);

/**
 * ln G: the mean over r of `exp(x·ln r − (x + y)·ln[(1 + θ(r·m − 1)) / (1 + θ(m − 1))])`.
 *
 * @param x         bad windows of canary
 * @param y         bad windows of control
 * @param theta     canary's share of the windows, 0 to 1
 * @param tolerated m ≥ 1
 * @source docs/design/judge.md "Guilty"
 */
export function lnG(x: number, y: number, theta: number, tolerated: number): number {
  if (x === 0 && y === 0) return 0;
  const base = Math.log1p(theta * (tolerated - 1));
  return lnMeanExp(
    MULTIPLES.map((r, i) => x * LN_MULTIPLES[i]! - (x + y) * (Math.log1p(theta * (r * tolerated - 1)) - base)),
  );
}

/** Bad windows of canary beyond what control explains: x − y·θ/(1 − θ). For ranking only. Where there is no control, all of them. */
export function excessOf(tally: Tally): number {
  const theta = shareOf(tally);
  return theta >= 1 ? tally.x : tally.x - (tally.y * theta) / (1 - theta);
}
