/**
 * A second implementation of G, A, the tails and the drawn bit, by other algebra: rationals of two BigInts, no logs and no floats inside. Slow and
 * plain; it is what the judge is held against.
 */

/** num / den, den > 0; sums and products are not reduced. */
export interface Rational {
  readonly num: bigint;
  readonly den: bigint;
}

const ratio = (num: bigint, den: bigint): Rational => ({ num, den });
const plus = (a: Rational, b: Rational): Rational => ratio(a.num * b.den + b.num * a.den, a.den * b.den);
const times = (a: Rational, b: Rational): Rational => ratio(a.num * b.num, a.den * b.den);
const power = (a: Rational, n: number): Rational => ratio(a.num ** BigInt(n), a.den ** BigInt(n));
const over = (a: Rational, b: Rational): Rational => ratio(a.num * b.den, a.den * b.num);
const minus = (a: Rational, b: Rational): Rational => plus(a, ratio(-b.num, b.den));
const ONE = ratio(1n, 1n);

/** A decimal of at most six digits behind the point. */
export function decimal(value: number): Rational {
  const num = BigInt(Math.round(value * 1e6));
  let [a, b] = [num, 1_000_000n];
  while (b > 0n) [a, b] = [b, a % b];
  return ratio(num / a, 1_000_000n / a);
}

/** ln of a positive rational: its whole bits are shifted away first, so no size overflows. */
export function ln({ num, den }: Rational): number {
  if (num === 0n) return -Infinity;
  const head = (n: bigint): readonly [mantissa: number, shift: number] => {
    const shift = Math.max(0, n.toString(16).length * 4 - 80);
    return [Number(n >> BigInt(shift)), shift];
  };
  const [a, as] = head(num);
  const [b, bs] = head(den);
  return Math.log(a) - Math.log(b) + (as - bs) * Math.LN2;
}

const mean = (terms: readonly Rational[]): Rational =>
  over(
    terms.reduce((sum, term) => plus(sum, term)),
    ratio(BigInt(terms.length), 1n),
  );

/**
 * G as a likelihood ratio: a bad window is canary's with probability θk/(1 + θ(k − 1)), for k times as bad. The mean over k = r·m of its likelihood
 * by that at k = m.
 */
export function exactG(x: number, y: number, theta: Rational, tolerated: Rational): Rational {
  const likelihood = (k: Rational): Rational => {
    const canary = times(theta, k);
    const control = minus(ONE, theta);
    const all = plus(canary, control);
    return times(power(over(canary, all), x), power(over(control, all), y));
  };
  const multiples = ['1.25', '1.5', '2', '3', '5', '10', '25', '100'].map((r) => decimal(Number(r)));
  return over(mean(multiples.map((r) => likelihood(times(r, tolerated)))), likelihood(tolerated));
}

/** A as a likelihood ratio of x bad of n at p by that at the limit. */
export function exactA(x: number, n: number, limit: Rational): Rational {
  const likelihood = (p: Rational): Rational => times(power(p, x), power(minus(ONE, p), n - x));
  const worst = decimal(0.95);
  const rates = ['1.3', '2', '4', '10', '50'].map((k) => {
    const p = times(limit, decimal(Number(k)));
    return p.num * worst.den < worst.num * p.den ? p : worst;
  });
  return over(mean(rates.map(likelihood)), likelihood(limit));
}

function choose(n: number, k: number): bigint {
  if (k < 0 || k > n) return 0n;
  let result = 1n;
  for (let i = 1; i <= k; i += 1) result = (result * BigInt(n - k + i)) / BigInt(i);
  return result;
}

/** P(Binomial(n, p) ≤ x), all over one denominator. */
export function exactAtMost(x: number, n: number, p: Rational): Rational {
  const bad = p.num;
  const good = p.den - p.num;
  let sum = 0n;
  for (let i = 0; i <= Math.min(x, n); i += 1) sum += choose(n, i) * bad ** BigInt(i) * good ** BigInt(n - i);
  return ratio(sum, p.den ** BigInt(n));
}

/** P(at least `bad` of `size` drawn), by counting hands. */
export function exactDrawn(seen: number, failed: number, size: number, bad: number): Rational {
  let hands = 0n;
  for (let j = bad; j <= size; j += 1) hands += choose(failed, j) * choose(seen - failed, size - j);
  return ratio(hands, choose(seen, size));
}

export const asNumber = (value: Rational): number => (value.num === 0n ? 0 : Math.exp(ln(value)));
