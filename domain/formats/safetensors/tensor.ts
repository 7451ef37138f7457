/** Pure. A named array, and views of its numbers. Bytes are little-endian, as on every platform this runs on. */
import { elementsOf, type Dtype } from './dtype.ts';

export interface Tensor {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** Row-major, little-endian; length = elements × size of the dtype. */
  readonly data: Uint8Array;
}

/** A float32 tensor over `values` (shared, not copied). @throws RangeError if shape and length disagree */
export function f32Tensor(name: string, shape: readonly number[], values: Float32Array): Tensor {
  if (elementsOf(shape) !== values.length)
    throw new RangeError(`tensor "${name}": shape [${shape.join(', ')}] does not hold ${values.length} numbers`);
  return { name, dtype: 'F32', shape, data: new Uint8Array(values.buffer, values.byteOffset, values.byteLength) };
}

/** The numbers of an F32 tensor: a view where the bytes are aligned, else a copy. @throws TypeError for another dtype */
export function f32Values(tensor: Tensor): Float32Array {
  if (tensor.dtype !== 'F32') throw new TypeError(`tensor "${tensor.name}" is ${tensor.dtype}, expected F32`);
  const { buffer, byteOffset, byteLength } = tensor.data;
  if (byteOffset % 4 === 0) return new Float32Array(buffer, byteOffset, byteLength / 4);
  return new Float32Array(new Uint8Array(tensor.data).buffer); // not `slice`: that of a Buffer shares memory
}
