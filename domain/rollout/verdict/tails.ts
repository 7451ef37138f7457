/**
 * Pure. Exact binomial tails, as natural logs: a proof asks for probabilities of 0.002 and a fleet has ten million devices, where factorials
 * and plain sums give 0 or NaN.
 */

const HALF_LN_2PI = 0.918_938_533_204_672_8;

/** ln n! less Stirling's formula, n ≥ 0. A table where the series is not yet exact. @source Loader 2000, "Fast and accurate …" eq. 4 */
function stirlingError(n: number): number {
  const small = SMALL_ERRORS[n];
  if (small !== undefined) return small;
  const n2 = n * n;
  return (1 / 12 - (1 / 360 - (1 / 1260 - 1 / 1680 / n2) / n2) / n2) / n;
}
const SMALL_ERRORS: readonly number[] = Array.from({ length: 16 }, (_, n) => {
  if (n === 0) return 0;
  let lnFactorial = 0;
  for (let i = 2; i <= n; i += 1) lnFactorial += Math.log(i);
  return lnFactorial - (n + 0.5) * Math.log(n) + n - HALF_LN_2PI;
});

/** x·ln(x/m) + m − x without the cancellation of its terms where x is near m. @source Loader 2000, eq. 7 */
function deviance(x: number, m: number): number {
  if (x === 0) return m;
  const v = (x - m) / (x + m);
  if (Math.abs(v) >= 0.1) return x * Math.log(x / m) + m - x;
  let sum = (x - m) * v;
  let term = 2 * x * v;
  for (let j = 3; j < 1000; j += 2) {
    term *= v * v;
    const next = sum + term / j;
    if (next === sum) break;
    sum = next;
  }
  return sum;
}

/** ln P(Binomial(n, p) = x), 0 ≤ x ≤ n, 0 < p < 1. @source Loader 2000, eq. 3 */
export function lnBinomial(x: number, n: number, p: number): number {
  if (x === 0) return n * Math.log1p(-p);
  if (x === n) return n * Math.log(p);
  const rest = n - x;
  const errors = stirlingError(n) - stirlingError(x) - stirlingError(rest);
  const distance = deviance(x, n * p) + deviance(rest, n * (1 - p));
  return errors - distance - HALF_LN_2PI - 0.5 * (Math.log(x) + Math.log(rest) - Math.log(n));
}

/** Terms below this share of the sum change none of its digits. */
const NEGLIGIBLE = 1e-18;

/** ln of the terms from x outwards, away from the mean, where each is smaller than the one before. */
function lnTail(x: number, n: number, p: number, step: 1 | -1): number {
  const odds = p / (1 - p);
  let sum = 1;
  let term = 1;
  for (let i = x; step === 1 ? i < n : i > 0; i += step) {
    term *= step === 1 ? ((n - i) / (i + 1)) * odds : i / ((n - i + 1) * odds);
    sum += term;
    if (term < sum * NEGLIGIBLE) break;
  }
  return lnBinomial(x, n, p) + Math.log(sum);
}

const lnComplement = (ln: number): number => (ln >= 0 ? -Infinity : Math.log(-Math.expm1(ln)));

/**
 * ln P(Binomial(n, p) ≤ x). Takes some √(n·p) steps.
 *
 * @param x whole number; below 0 nothing is left (−Infinity), from n on everything (0)
 * @param n whole number ≥ 0, exact up to 2^53
 * @param p 0 to 1
 */
export function lnAtMost(x: number, n: number, p: number): number {
  if (x < 0) return -Infinity;
  if (x >= n || p <= 0) return 0;
  if (p >= 1) return -Infinity;
  return x < n * p ? Math.min(0, lnTail(x, n, p, -1)) : lnComplement(lnTail(x + 1, n, p, 1));
}

/** ln P(Binomial(n, p) ≥ x); bounds as of {@link lnAtMost}. */
export function lnAtLeast(x: number, n: number, p: number): number {
  if (x <= 0) return 0;
  if (x > n || p <= 0) return -Infinity;
  if (p >= 1) return 0;
  return x > n * p ? Math.min(0, lnTail(x, n, p, 1)) : lnComplement(lnTail(x - 1, n, p, -1));
}

/** The smallest x with P(Binomial(n, p) ≤ x) ≥ q, 0 < q < 1. */
export function binomialQuantile(q: number, n: number, p: number): number {
  const wanted = Math.log(q);
  let [low, high] = [0, n];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (lnAtMost(middle, n, p) >= wanted) high = middle;
    else low = middle + 1;
  }
  return low;
}
