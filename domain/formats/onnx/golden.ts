/**
 * Pure. Inputs that a publication is tried on, and how far a runtime may be from the reference
 * (docs/design/publishing.md "Golden inputs").
 */
import { sha256, utf8ToBytes } from '../../hash/sha256.ts';
import type { OutputActivation } from '../architecture.ts';

export const GOLDEN_ROWS = 16;
/** Of the largest reference value, or absolute below 1. */
const TOLERANCE = 1e-5;
/** Probabilities below this are not compared: their logarithm is the exponent's underflow. */
const LEAST_P = 1e-30;

/** xoshiro128**: 32-bit words, the same in every language. @source Blackman and Vigna 2018, public domain */
function wordsOf(seed: string): () => number {
  const digest = sha256(utf8ToBytes(seed));
  const view = new DataView(digest.buffer, digest.byteOffset);
  const s = Uint32Array.from({ length: 4 }, (_, i) => view.getUint32(4 * i));
  const rotated = (x: number, k: number) => ((x << k) | (x >>> (32 - k))) >>> 0;
  return () => {
    const word = Math.imul(rotated(Math.imul(s[1]!, 5) >>> 0, 7), 9) >>> 0;
    const t = s[1]! << 9;
    s[2]! ^= s[0]!;
    s[3]! ^= s[1]!;
    s[1]! ^= s[2]!;
    s[0]! ^= s[3]!;
    s[2]! ^= t;
    s[3] = rotated(s[3]!, 11);
    return word;
  };
}

/**
 * 16 rows: all zeros, all ones, then 14 of standard normals (sums of twelve uniforms: exact on every machine).
 *
 * @param seed SHA-256 of contract and version, hex
 */
export function goldenInputs(seed: string, columns: number): Float32Array {
  const inputs = new Float32Array(GOLDEN_ROWS * columns);
  inputs.fill(1, columns, 2 * columns);
  const word = wordsOf(seed);
  for (let i = 2 * columns; i < inputs.length; i += 1) {
    let sum = 0;
    for (let k = 0; k < 6; k += 1) {
      const bits = word();
      sum += (bits >>> 16) + (bits & 0xffff);
    }
    inputs[i] = (sum + 6) / 65_536 - 6; // twelve uniforms, each at the middle of its step
  }
  return inputs;
}

export interface Comparison {
  readonly passed: boolean;
  /** Largest difference found, and the bound it was held against. */
  readonly difference: number;
  readonly bound: number;
}

/**
 * max|a − b| ≤ 1e-5 × max(1, max|ref|). After Softmax the same on ln p where p ≥ 1e-30, since probabilities hide logits. NaN
 * fails.
 *
 * After Sigmoid the plain bound, and the caller compares the logits too: ONNX Runtime 1.30 computes Sigmoid to about 1e-7
 * absolute and answers 0 from −18 down (measured on Linux x64), so ln p there would refuse every confident model.
 */
export function compareOutputs(found: Float32Array, reference: Float64Array, output: OutputActivation): Comparison {
  const scale = output === 'softmax' ? Math.log : (value: number) => value;
  let difference = 0;
  let largest = 0;
  let isFinite = found.length === reference.length;
  for (const [i, value] of reference.entries()) {
    if (output === 'softmax' && value < LEAST_P) continue;
    const wanted = scale(value);
    const got = scale(found[i]!);
    if (!Number.isFinite(got) || !Number.isFinite(wanted)) isFinite = false;
    difference = Math.max(difference, Math.abs(got - wanted));
    largest = Math.max(largest, Math.abs(wanted));
  }
  const bound = TOLERANCE * Math.max(1, largest);
  return { passed: isFinite && difference <= bound, difference, bound };
}

/** Whether every output element is the same for all rows: the model does not look at its input. */
export function isConstant(outputs: Float32Array, rows: number): boolean {
  const columns = outputs.length / rows;
  return outputs.every((value, i) => value === outputs[i % columns]);
}
