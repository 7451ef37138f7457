/**
 * Pure. The admission gate: may this update join the round (docs/design/learning.md "Admission")? Only the round decides; no other
 * update does. The gate is shown the update as it comes: its header, then its numbers. `domain/formats` reads the bytes.
 */
import type { TrainingSpec } from '../events/training.ts';
import { limitFor, weightOf } from './grid.ts';
import { readMetrics, type MetricSums } from './metrics.ts';
import { isBuffer, runningSquares } from './norm.ts';
import { refuse, type Refusal } from '../refusal.ts';

/** What the header of an update says. */
export interface UpdateHeader {
  readonly metadata: ReadonlyMap<string, string>;
  /** In canonical order. */
  readonly tensors: readonly { readonly name: string; readonly dtype: string; readonly shape: readonly number[] }[];
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

function checkMetadata(metadata: ReadonlyMap<string, string>, terms: AdmissionTerms): Refusal | undefined {
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

function readSamples(text: string | undefined, most: number): number | Refusal {
  const samples = text !== undefined && /^(0|[1-9]\d{0,15})$/.test(text) ? Number(text) : undefined;
  if (samples === undefined || samples < 1 || samples > most)
    return refuse(
      'samples_out_of_range',
      `metadata samples must be a whole number from 1 to ${most}, it is ${text ?? 'missing'}`,
    );
  return samples;
}

/** Exactly the base's F32 names, then shapes, then dtypes. */
function checkTensors(tensors: UpdateHeader['tensors'], base: AdmissionTerms['base']): Refusal | undefined {
  const trained = new Map(base.filter((t) => t.dtype === 'F32').map((t) => [t.name, t]));
  const extra = tensors.find((t) => !trained.has(t.name));
  if (extra) return refuse('unknown_tensor', `the base has no F32 tensor "${extra.name}"`, { tensor: extra.name });
  const given = new Set(tensors.map((t) => t.name));
  for (const name of trained.keys())
    if (!given.has(name)) return refuse('missing_tensor', `tensor "${name}" of the base is missing`, { tensor: name });
  for (const { name, shape } of tensors) {
    const expected = trained.get(name)!.shape;
    if (shapeText(shape) !== shapeText(expected))
      return refuse('shape_mismatch', `tensor "${name}" must be ${shapeText(expected)}, it is ${shapeText(shape)}`, {
        tensor: name,
      });
  }
  const other = tensors.find((t) => t.dtype !== 'F32');
  if (other)
    return refuse('dtype_mismatch', `tensor "${other.name}" must be F32, it is ${other.dtype}`, { tensor: other.name });
  return undefined;
}

/** One update before its round. Never throws; after a refusal nothing more is asked. */
export interface Gate {
  /** Metadata, samples, names, shapes and types, in this order. */
  header(header: UpdateHeader): Refusal | undefined;
  /** The next bytes of a tensor, cut anywhere; tensors come in canonical order. Refuses numbers that are not finite. */
  data(name: string, bytes: Uint8Array, isLast: boolean): Refusal | undefined;
  /** After the last byte: norm and grid. `weight` is already capped. */
  verdict(): Admitted | Refusal;
}

export function openGate(terms: AdmissionTerms): Gate {
  const { admission, aggregation, metrics } = terms.spec;
  const measured = runningSquares();
  let metadata: UpdateHeader['metadata'] = new Map();
  let samples = 0;
  let total = 0;
  let maxAbs = 0;
  return {
    header(header) {
      metadata = header.metadata;
      const mismatch = checkMetadata(metadata, terms);
      if (mismatch) return mismatch;
      const claimed = readSamples(metadata.get('samples'), admission.max_samples);
      if (typeof claimed !== 'number') return claimed;
      samples = claimed;
      return checkTensors(header.tensors, terms.base);
    },

    data(name, bytes, isLast) {
      let tensor = measured.take(bytes);
      if (isLast) tensor = measured.end();
      if (!Number.isFinite(tensor.sum))
        return refuse('non_finite', `tensor "${name}" holds NaN or infinity`, { tensor: name });
      if (!isLast) return undefined;
      if (!isBuffer(name)) total += tensor.sum; // a buffer is not in the norm, but it is in max|d|
      maxAbs = Math.max(maxAbs, tensor.maxAbs);
      return undefined;
    },

    verdict() {
      const norm = Math.sqrt(total);
      if (terms.maxNorm !== null && norm > terms.maxNorm)
        return refuse('norm_exceeded', `the update's norm is ${norm}, at most ${terms.maxNorm} is allowed`);
      const weight = weightOf(samples, aggregation);
      if (Math.max(1, weight) * maxAbs > terms.limit)
        return refuse('grid_range', `weight ${weight} × largest change ${maxAbs} exceeds ${terms.limit}`);
      const figures = readMetrics(metadata.get('metrics'), metrics, admission.max_samples);
      return { ok: true, samples, weight, norm, maxAbs, metrics: figures };
    },
  };
}
