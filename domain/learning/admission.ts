/**
 * Pure. The admission gate: may this update join the round (docs/design/learning.md "Admission")? Only the round decides; no other
 * update does. The bytes are read by `domain/formats`; a reader's refusal passes through.
 */
import type { TrainingSpec } from '../events/training.ts';
import { limitFor, weightOf } from './grid.ts';
import { readMetrics, type MetricSums } from './metrics.ts';
import { isBuffer, squares } from './norm.ts';
import { isRefused, refuse, type Refused } from '../refused.ts';

/** A tensor as a reader gives it: little-endian bytes in canonical order. */
interface FileTensor {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

export interface UpdateFile {
  readonly metadata: ReadonlyMap<string, string>;
  readonly tensors: readonly FileTensor[];
}

/** What the update must fit. */
export interface AdmissionTerms {
  /** All tensors of the base; F32 ones are trained, integers and booleans are kept. */
  readonly base: readonly { readonly name: string; readonly dtype: string; readonly shape: readonly number[] }[];
  readonly baseSha: string;
  /** `<runId>.<round>.<attempt>`. */
  readonly roundId: string;
  readonly taskId: string;
  /** From RoundOpened. */
  readonly maxNorm: number | null;
  /** From RoundOpened: power of two ≥ 16 × weight_cap. */
  readonly limit: number;
  readonly spec: Pick<TrainingSpec, 'admission' | 'aggregation' | 'metrics'>;
}

export interface Admitted {
  readonly ok: true;
  readonly samples: number;
  readonly weight: number;
  readonly norm: number;
  readonly maxAbs: number;
  readonly metrics: MetricSums | null;
}

/** What of a spec's round is fixed when it opens, without any update seen. */
export const openingTerms = (spec: TrainingSpec): { readonly maxNorm: number | null; readonly limit: number } => ({
  maxNorm: spec.admission.max_norm,
  limit: limitFor(spec.aggregation.weight_cap),
});

const shapeText = (shape: readonly number[]) => `[${shape.join(', ')}]`;

function checkMetadata(metadata: ReadonlyMap<string, string>, terms: AdmissionTerms): Refused | undefined {
  const base = metadata.get('base');
  if (base !== terms.baseSha)
    return refuse('wrong_base', `the round's base is ${terms.baseSha}, metadata base says ${base ?? 'nothing'}`);
  const expected = { round: terms.roundId, task: terms.taskId, format: 'delta' };
  for (const [key, value] of Object.entries(expected)) {
    const found = metadata.get(key);
    if (found !== value)
      return refuse(
        'metadata_mismatch',
        `metadata ${key} must be "${value}", it is ${found === undefined ? 'missing' : `"${found}"`}`,
      );
  }
  return undefined;
}

function readSamples(text: string | undefined, most: number): number | Refused {
  const samples = text !== undefined && /^(0|[1-9]\d{0,15})$/.test(text) ? Number(text) : undefined;
  if (samples === undefined || samples < 1 || samples > most)
    return refuse(
      'samples_out_of_range',
      `metadata samples must be a whole number from 1 to ${most}, it is ${text ?? 'missing'}`,
    );
  return samples;
}

/** Exactly the base's F32 names, then shapes, then dtypes. */
function checkTensors(tensors: readonly FileTensor[], base: AdmissionTerms['base']): Refused | undefined {
  const trained = new Map(base.filter((t) => t.dtype === 'F32').map((t) => [t.name, t]));
  const extra = tensors.find((t) => !trained.has(t.name));
  if (extra) return refuse('unknown_tensor', `the base has no F32 tensor "${extra.name}"`, extra.name);
  const given = new Set(tensors.map((t) => t.name));
  for (const name of trained.keys())
    if (!given.has(name)) return refuse('missing_tensor', `tensor "${name}" of the base is missing`, name);
  for (const { name, shape } of tensors) {
    const expected = trained.get(name)!.shape;
    if (shapeText(shape) !== shapeText(expected))
      return refuse(
        'shape_mismatch',
        `tensor "${name}" must be ${shapeText(expected)}, it is ${shapeText(shape)}`,
        name,
      );
  }
  const other = tensors.find((t) => t.dtype !== 'F32');
  if (other) return refuse('dtype_mismatch', `tensor "${other.name}" must be F32, it is ${other.dtype}`, other.name);
  return undefined;
}

const floats = (data: Uint8Array): Float32Array =>
  data.byteOffset % 4 === 0
    ? new Float32Array(data.buffer, data.byteOffset, data.byteLength / 4)
    : new Float32Array(new Uint8Array(data).buffer); // not `slice`: that of a Buffer shares memory

/** Norm without buffers, max|d| with them: one pass. */
function measure(tensors: readonly FileTensor[]): { norm: number; maxAbs: number } | Refused {
  let total = 0;
  let largest = 0;
  for (const { name, data } of tensors) {
    const { sum, maxAbs } = squares(floats(data));
    if (!Number.isFinite(sum)) return refuse('non_finite', `tensor "${name}" holds NaN or infinity`, name);
    if (!isBuffer(name)) total += sum;
    largest = Math.max(largest, maxAbs);
  }
  return { norm: Math.sqrt(total), maxAbs: largest };
}

/**
 * Judges one update against its round. Never throws.
 *
 * @param file  what `readSafetensors` of the body gave, also where that is a refusal
 * @returns     what the round's row keeps (`weight` is already capped), or the first check that failed
 */
export function admitUpdate(file: UpdateFile | Refused, terms: AdmissionTerms): Admitted | Refused {
  if (isRefused(file)) return file;
  const { admission, aggregation, metrics } = terms.spec;
  const mismatch = checkMetadata(file.metadata, terms);
  if (mismatch) return mismatch;
  const samples = readSamples(file.metadata.get('samples'), admission.max_samples);
  if (typeof samples !== 'number') return samples;
  const misfit = checkTensors(file.tensors, terms.base);
  if (misfit) return misfit;
  const measured = measure(file.tensors);
  if (isRefused(measured)) return measured;
  const { norm, maxAbs } = measured;
  if (terms.maxNorm !== null && norm > terms.maxNorm)
    return refuse('norm_exceeded', `the update's norm is ${norm}, at most ${terms.maxNorm} is allowed`);
  const weight = weightOf(samples, aggregation);
  if (Math.max(1, weight) * maxAbs > terms.limit)
    return refuse('grid_range', `weight ${weight} × largest change ${maxAbs} exceeds ${terms.limit}`);
  return {
    ok: true,
    samples,
    weight,
    norm,
    maxAbs,
    metrics: readMetrics(file.metadata.get('metrics'), metrics, admission.max_samples),
  };
}
