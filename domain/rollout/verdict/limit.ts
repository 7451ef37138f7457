/** Pure. A: the evidence that more devices are bad than a metric's limit allows. It knows no control, and an outage looks like guilt to it. */
import { lnMeanExp } from './logs.ts';
import { lnAtLeast } from './tails.ts';

/** How many times the limit: what the mixture looks for; no rate above {@link WORST}. */
const MULTIPLES = [1.3, 2, 4, 10, 50] as const;
const WORST = 0.95;

/**
 * ln A: the mean over p in min(0.95, p₀·{1.3, 2, 4, 10, 50}) of `exp(x·ln(p/p₀) + (n − x)·ln((1 − p)/(1 − p₀)))`.
 *
 * @param x     bad windows
 * @param n     windows, n ≥ x
 * @param limit p₀: share of devices that may be bad, above 0 and below 0.95
 * @source docs/design/judge.md "Guilty"
 */
export function lnA(x: number, n: number, limit: number): number {
  return lnMeanExp(
    MULTIPLES.map((k) => {
      const p = Math.min(WORST, limit * k);
      return x * Math.log(p / limit) + (n - x) * (Math.log1p(-p) - Math.log1p(-limit));
    }),
  );
}

/**
 * A rate of predictions as a limit on devices: P(at least `bad` of `size` fail at that rate). 5 % of predictions, 2 of 20: 26.4 % of devices.
 *
 * @param rate 0 to 1
 */
export const deviceLimit = (rate: number, size: number, bad: number): number => Math.exp(lnAtLeast(bad, size, rate));
