/**
 * Pure. The exact weighted sum (docs/design/learning.md "Exact sum"): every product is rounded to a grid of 2^-q so coarse that
 * no partial sum can exceed 2^53 steps. Then each addition is exact, and neither order, nor sharding, nor a crash changes a bit.
 */

export interface Grid {
  /** ceil(log2 max(4, n)). */
  readonly k: number;
  /** Least power of two ≥ the largest weight × |d|; 0 if all deltas are zero. */
  readonly L: number;
  /** The grid's step is 2^-q. */
  readonly q: number;
}

/** Finest grid used. */
const MOST_Q = 40;

/** Exponent e of the least 2^e ≥ x, for finite x > 0. Exact: Math.log2 is not, near powers of two. */
function ceilLog2(x: number): number {
  let e = Math.round(Math.log2(x));
  while (2 ** e < x) e += 1;
  while (2 ** (e - 1) >= x) e -= 1;
  return e;
}

/**
 * The grid of a closed round.
 *
 * @param n       updates that count, ≥ 1
 * @param largest max over the round of weight × max|d|, finite, ≥ 0
 */
export function gridFor(n: number, largest: number): Grid {
  const k = ceilLog2(Math.max(4, n));
  if (largest === 0) return { k, L: 0, q: MOST_Q };
  const e = ceilLog2(largest);
  return { k, L: 2 ** e, q: Math.min(MOST_Q, 53 - k - e) };
}

/** What the check `grid_range` holds max(1, weight) × max|d| against: a loud device costs the others bits only down to here. */
export const limitFor = (weightCap: number): number => 2 ** ceilLog2(16 * weightCap);

/**
 * S += weight × d on the grid, for `d.length` coordinates of `sum` from `at` on. `sum` must hold grid values only.
 *
 * Where |weight × d| ≤ L, p + M stays in [2^(52−q), 2^(53−q)], where doubles are 2^-q apart: the nearest multiple, ties to
 * even. Beyond it the result is wrong, so the check `grid_range` of the admission gate is not optional.
 */
export function accumulate(sum: Float64Array, d: Float32Array, weight: number, q: number, at = 0): void {
  const magic = 1.5 * 2 ** (52 - q);
  const n = d.length;
  for (let i = 0; i < n; i += 1) sum[at + i]! += weight * d[i]! + magic - magic;
}

/** What an update weighs in the mean. */
export function weightOf(
  samples: number,
  rule: { readonly weight: 'samples' | 'uniform'; readonly weight_cap: number },
): number {
  return rule.weight === 'uniform' ? 1 : Math.min(samples, rule.weight_cap);
}

/**
 * One parameter after the server's plain SGD step: fround(x + lr × S/W). The mean stays float64: rounding it first would
 * change the last bit. @source docs/design/learning.md "Server step"
 */
export const sgdStep = (x: number, sum: number, weights: number, lr: number): number =>
  Math.fround(x + lr * (sum / weights));
