/**
 * Pure. The length of an update, summed in one fixed order so that every machine gets the same bits, however its bytes come
 * (docs/design/learning.md "Admission").
 */

/** Elements of a block; four lanes j mod 4 run through it. */
const BLOCK = 4096;

export interface Squares {
  /** Sum of squares in float64. */
  readonly sum: number;
  /** Largest magnitude. */
  readonly maxAbs: number;
}

/** The numbers from `start` to `end`, a block or the last part of one: four lanes, joined as (l0 + l2) + (l1 + l3). */
function squaresOfBlock(x: Float32Array | Float64Array, start: number, end: number): Squares {
  const whole = end - ((end - start) % 4);
  let maxAbs = 0;
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
  return { sum: l0 + l2 + (l1 + l3), maxAbs };
}

/**
 * Sum of squares in float64 and largest magnitude of one tensor.
 *
 * Not finite exactly when an element is not: float32 squares cannot overflow a float64 sum of 10^8. `maxAbs` then means
 * nothing. Blocks of 4096 in order; {@link squaresOfBlock} within one.
 *
 * @param x float32 values; a float64 vector is summed in the same order
 */
export function squares(x: Float32Array | Float64Array): Squares {
  let sum = 0;
  let maxAbs = 0;
  for (let start = 0; start < x.length; start += BLOCK) {
    const block = squaresOfBlock(x, start, Math.min(start + BLOCK, x.length));
    sum += block.sum;
    maxAbs = Math.max(maxAbs, block.maxAbs);
  }
  return { sum, maxAbs };
}

/** {@link squares} of tensors whose bytes come in pieces, one tensor after the other. */
export interface RunningSquares {
  /** The next little-endian float32 bytes of the tensor, cut anywhere. @returns what there is of whole blocks so far */
  take(bytes: Uint8Array): Squares;
  /** The tensor is whole; the next byte begins another. */
  end(): Squares;
}

export function runningSquares(): RunningSquares {
  const block = new Float32Array(BLOCK);
  const bytesOfBlock = new Uint8Array(block.buffer);
  let filled = 0;
  let sum = 0;
  let maxAbs = 0;
  const add = () => {
    const next = squaresOfBlock(block, 0, filled / 4);
    sum += next.sum;
    maxAbs = Math.max(maxAbs, next.maxAbs);
    filled = 0;
  };
  return {
    take(bytes) {
      for (let at = 0; at < bytes.length;) {
        const n = Math.min(bytes.length - at, bytesOfBlock.length - filled);
        bytesOfBlock.set(bytes.subarray(at, at + n), filled);
        at += n;
        filled += n;
        if (filled === bytesOfBlock.length) add();
      }
      return { sum, maxAbs };
    },
    end() {
      if (filled > 0) add();
      const tensor = { sum, maxAbs };
      sum = 0;
      maxAbs = 0;
      return tensor;
    },
  };
}

/** Running statistics of a normalisation layer: averaged, but neither part of the norm nor moved by the optimiser. */
export const isBuffer = (name: string): boolean => /(^|\.)running_(mean|var)$/.test(name);
