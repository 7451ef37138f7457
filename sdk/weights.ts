/** Float32 weights by name, to and from the files of the training protocol. Browser-safe. */
import {
  encodeUpdate as writeUpdate,
  f32Tensor,
  f32Values,
  isRefusal,
  readSafetensors,
  writeSafetensors,
  type UpdateMetrics,
} from '../domain/formats/safetensors/index.ts';
import { EdgeMLError } from './errors.ts';

/** Row-major numbers of one named array. */
export interface Tensor {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}
export type Weights = ReadonlyMap<string, Tensor>;

const toFile = (weights: Weights) => [...weights].map(([name, t]) => f32Tensor(name, t.shape, t.data));

/** The F32 tensors of a safetensors file. @throws EdgeMLError `malformed_container` */
export function decodeTensors(bytes: Uint8Array): Weights {
  const file = readSafetensors(bytes);
  if (isRefusal(file)) throw new EdgeMLError(file.detail, 0, undefined, { code: file.code });
  return new Map(
    file.tensors.filter((t) => t.dtype === 'F32').map((t) => [t.name, { shape: t.shape, data: f32Values(t) }]),
  );
}

/** A model file: first weights, or an evaluation set. */
export const encodeModel = (weights: Weights): Uint8Array => writeSafetensors(toFile(weights));

/** What a device uploads after it trained: the change against `base`. */
export function updateFile(u: {
  readonly base: string;
  readonly round: string;
  readonly task: string;
  readonly samples: number;
  readonly metrics: UpdateMetrics;
  readonly deltas: Weights;
}): Uint8Array {
  return writeUpdate({ ...u, deltas: toFile(u.deltas) });
}
