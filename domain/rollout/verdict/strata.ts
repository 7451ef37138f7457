/**
 * Pure. Canary's share, θ, from the windows themselves: they are counted by the quarter hour of stage clock in which they opened, and each bad
 * bit asks what share of its own quarter hour was canary's. So a differing cadence of the arms cancels, and what breaks for everyone hits
 * both (docs/design/judge.md "Two arms in step").
 */
import type { Tally } from './comparison.ts';

export const STRATUM_MS = 15 * 60_000;

/** The quarter hour of the stage clock, from 0. */
export const stratumOf = (clockMs: number): number => Math.floor(clockMs / STRATUM_MS);

/** Windows of one test that opened in one quarter hour. Integers; merging is addition. */
export interface Stratum {
  /** Windows that count: ended ones, or opened ones where only bad ones end. */
  readonly canary: number;
  readonly control: number;
  /** Bad ones among them. */
  readonly x: number;
  readonly y: number;
}

/** The tally of a test over its strata. A stratum without a bad window adds nothing and may be left out. */
export function tallyOf(strata: Iterable<Stratum>): Tally {
  let [x, y, theta] = [0, 0, 0];
  for (const stratum of strata) {
    const bad = stratum.x + stratum.y;
    if (bad === 0) continue;
    x += stratum.x;
    y += stratum.y;
    theta += bad * Math.round((1_000_000 * stratum.canary) / (stratum.canary + stratum.control));
  }
  return { x, y, theta };
}

/** What is left of a stratum without the devices of a segment. */
export const without = (whole: Stratum, part: Stratum): Stratum => ({
  canary: whole.canary - part.canary,
  control: whole.control - part.control,
  x: whole.x - part.x,
  y: whole.y - part.y,
});
