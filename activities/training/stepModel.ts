/** The server's step: base and summed updates in, the next model's file out, streamed. */
import { Readable } from 'node:stream';
import { safetensorsHead } from '../../domain/formats/safetensors/index.ts';
import { isBuffer, sgdStep, squares } from '../../domain/learning/index.ts';
import type { Refusal } from '../../domain/refusal.ts';
import type { ArtifactStore, BlobStat } from '../../store/artifacts/artifactStore.ts';
import type { OpenFile } from './modelStream.ts';

const BLOCK = 4096;

/** Thrown inside the stream, so that the store keeps nothing of it; caught in {@link stepModel}. */
class StepRefused extends Error {
  readonly code: 'non_finite' | 'checksum_mismatch';
  constructor(code: 'non_finite' | 'checksum_mismatch', detail: string) {
    super(detail);
    this.code = code;
  }
}

export interface Step {
  /** Σ weight × delta over the F32 tensors in canonical order. */
  readonly sum: Float64Array;
  /** Σ weight, ≥ 1. */
  readonly weights: number;
  readonly lr: number;
  readonly signal?: AbortSignal | undefined;
}

export interface SteppedModel extends BlobStat {
  /** |Σ weight × delta / Σ weight| over the trained tensors; buffers are left out. */
  readonly updateNorm: number;
}

/** Bytes of the next model. `norm` is told the square sums of the mean, block by block. */
async function* modelBytes(base: OpenFile, step: Step, norm: (squares: number) => void): AsyncGenerator<Uint8Array> {
  const { entries } = base.header;
  yield safetensorsHead(entries);
  const mean = new Float64Array(BLOCK);
  let at = 0;
  for (const { name, dtype, begin, end } of entries) {
    const isTrained = dtype === 'F32';
    const lr = isBuffer(name) ? 1 : step.lr;
    for (let from = begin; from < end; from += BLOCK * 4) {
      step.signal?.throwIfAborted();
      const bytes = new Uint8Array(Math.min(BLOCK * 4, end - from));
      if ((await base.reader.read(bytes)) < bytes.length)
        throw new StepRefused('checksum_mismatch', 'the base ends early');
      if (isTrained) {
        const values = new Float32Array(bytes.buffer);
        for (let i = 0; i < values.length; i += 1) {
          mean[i] = step.sum[at + i]! / step.weights;
          values[i] = sgdStep(values[i]!, step.sum[at + i]!, step.weights, lr);
        }
        if (!Number.isFinite(squares(values).sum))
          throw new StepRefused('non_finite', `tensor "${name}" would hold NaN or infinity after the step`);
        if (!isBuffer(name)) norm(squares(mean.subarray(0, values.length)).sum);
        at += values.length;
      }
      yield bytes;
    }
  }
  const found = await base.reader.digest();
  if (found !== base.sha256) throw new StepRefused('checksum_mismatch', `base ${base.sha256} has become ${found}`);
}

/**
 * x ← fround(x + lr × S/W) for F32 tensors (buffers with lr 1); integers and booleans keep the base's bytes. The file is
 * canonical and without metadata, so its hash depends on the tensors alone.
 *
 * @param base opened at its data; read to the end, closed by the caller
 * @returns    the stored blob, or why there is none: nothing is left behind then
 */
export async function stepModel(
  blobs: ArtifactStore,
  base: OpenFile,
  step: Step,
): Promise<SteppedModel | Refusal<'non_finite' | 'checksum_mismatch'>> {
  let total = 0;
  const bytes = Readable.from(modelBytes(base, step, (part) => (total += part)));
  try {
    const blob = await blobs.put(bytes, { max: Number.MAX_SAFE_INTEGER });
    return { ...blob, updateNorm: Math.sqrt(total) };
  } catch (error) {
    if (error instanceof StepRefused) return { code: error.code, detail: error.message };
    throw error;
  } finally {
    bytes.destroy();
  }
}
