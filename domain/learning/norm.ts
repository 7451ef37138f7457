/**
 * Pure. The length of an update, summed in one fixed order so that every machine gets the same bits
 * (docs/design/learning.md "Admission").
 */

/** Elements of a block; four lanes j mod 4 run through it. */
const BLOCK = 4096;

/**
 * Sum of squares in float64 and largest magnitude of one tensor.
 *
 * Not finite exactly when an element is not: float32 squares cannot overflow a float64 sum of 10^8. `maxAbs` then means
 * nothing. Blocks of 4096 in order; within one, four lanes, joined as (l0 + l2) + (l1 + l3).
 *
 * @param x float32 values; a float64 vector is summed in the same order
 */
export function squares(x: Float32Array | Float64Array): { readonly sum: number; readonly maxAbs: number } {
  let sum = 0;
  let maxAbs = 0;
  for (let start = 0; start < x.length; start += BLOCK) {
    const end = Math.min(start + BLOCK, x.length);
    const whole = end - ((end - start) % 4);
    let l0 = 0;
    let l1 = 0;
    let l2 = 0;
    let l3 = 0;
    for (let i = start; i < whole; i += 4) {
      const a = x[i]!;
      const b = x[i + 1]!;
      const c = x[i + 2]!;
      const d = x[i + 3]!;
      l0 += a * a;
      l1 += b * b;
      l2 += c * c;
      l3 += d * d;
      maxAbs = Math.max(maxAbs, Math.abs(a), Math.abs(b), Math.abs(c), Math.abs(d));
    }
    for (let i = whole; i < end; i += 1) maxAbs = Math.max(maxAbs, Math.abs(x[i]!));
    if (whole < end) l0 += x[whole]! ** 2;
    if (whole + 1 < end) l1 += x[whole + 1]! ** 2;
    if (whole + 2 < end) l2 += x[whole + 2]! ** 2;
    sum += l0 + l2 + (l1 + l3);
  }
  return { sum, maxAbs };
}

/** Running statistics of a normalisation layer: averaged, but neither part of the norm nor moved by the optimiser. */
export const isBuffer = (name: string): boolean => /(^|\.)running_(mean|var)$/.test(name);
