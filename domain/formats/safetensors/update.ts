/** Pure. Update files: a delta against one base, with what the server must know of it as metadata strings. */
import { canonicalJson } from '../../hash/canonicalJson.ts';
import type { Tensor } from './tensor.ts';
import { writeSafetensors } from './write.ts';

/** Sums over the samples that a device measured on; never means. */
export interface UpdateMetrics {
  readonly n?: number;
  readonly loss_sum?: number;
  readonly correct?: number;
}

export interface Update {
  /** SHA-256 of the base the delta was made on. */
  readonly base: string;
  /** `<runId>.<round>.<attempt>`. */
  readonly round: string;
  readonly task: string;
  readonly samples: number;
  readonly metrics: UpdateMetrics;
  /** One F32 tensor for each F32 tensor of the base: same names and shapes, new minus base. */
  readonly deltas: readonly Tensor[];
}

/** The canonical bytes of an update. @throws RangeError as {@link writeSafetensors} */
export function encodeUpdate(update: Update): Uint8Array {
  const { base, round, task, samples, metrics, deltas } = update;
  return writeSafetensors(deltas, {
    base,
    format: 'delta',
    metrics: canonicalJson(metrics),
    round,
    samples: String(samples),
    task,
  });
}
