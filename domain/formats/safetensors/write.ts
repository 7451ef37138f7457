/**
 * Pure. The canonical safetensors writer: equal tensors and metadata give equal bytes
 * (docs/design/learning.md "Canonical safetensors").
 */
import { utf8ToBytes } from '../../hash/sha256.ts';
import { elementsOf, sizeOf, type Dtype } from './dtype.ts';
import { nameProblem } from './headerText.ts';
import { LIMITS } from './limits.ts';
import { compareTensors, compareUtf8 } from './order.ts';
import type { Tensor } from './tensor.ts';

export interface TensorShape {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
}

export type Metadata = Readonly<Record<string, string>> | ReadonlyMap<string, string>;

const pairsOf = (metadata: Metadata): [string, string][] =>
  metadata instanceof Map ? [...metadata] : Object.entries(metadata);

/**
 * Length prefix and header of a canonical file; data follow in {@link compareTensors} order without gaps. For writers that
 * stream the data. Written as text: in an object a tensor `0` would jump the queue and `__proto__` would vanish.
 *
 * @param metadata strings by key; left out when empty, as model files must (their hash depends on tensors alone)
 */
export function safetensorsHead(tensors: readonly TensorShape[], metadata: Metadata = {}): Uint8Array {
  const parts: string[] = [];
  const pairs = pairsOf(metadata).sort(([a], [b]) => compareUtf8(a, b));
  if (pairs.length > 0) {
    parts.push(`"__metadata__":{${pairs.map(([k, v]) => `${JSON.stringify(k)}:${JSON.stringify(v)}`).join(',')}}`);
  }
  let at = 0;
  for (const { name, dtype, shape } of [...tensors].sort(compareTensors)) {
    const end = at + elementsOf(shape) * sizeOf(dtype);
    parts.push(
      `${JSON.stringify(name)}:{"dtype":"${dtype}","shape":[${shape.join(',')}],"data_offsets":[${at},${end}]}`,
    );
    at = end;
  }
  const text = utf8ToBytes(`{${parts.join(',')}}`);
  const padded = Math.ceil(text.length / 8) * 8;
  const head = new Uint8Array(8 + padded).fill(0x20);
  new DataView(head.buffer).setBigUint64(0, BigInt(padded), true);
  head.set(text, 8);
  return head;
}

/**
 * One canonical file in memory. Tensors may come in any order.
 *
 * @throws RangeError for a name that readers refuse or that is given twice, the reserved name `__metadata__`, or data that do not fill
 * their shape
 */
export function writeSafetensors(tensors: readonly Tensor[], metadata: Metadata = {}): Uint8Array {
  const names = new Set<string>();
  for (const { name, dtype, shape, data } of tensors) {
    if (name === '__metadata__') throw new RangeError('a tensor may not be called "__metadata__"');
    const problem = nameProblem(name, LIMITS.name);
    if (problem !== undefined) throw new RangeError(problem);
    if (names.has(name)) throw new RangeError(`tensor "${name}" is given twice`);
    names.add(name);
    const expected = elementsOf(shape) * sizeOf(dtype);
    if (data.length !== expected)
      throw new RangeError(
        `tensor "${name}": ${dtype} [${shape.join(', ')}] takes ${expected} bytes, not ${data.length}`,
      );
  }
  const ordered = [...tensors].sort(compareTensors);
  const head = safetensorsHead(ordered, metadata);
  const file = new Uint8Array(head.length + ordered.reduce((n, t) => n + t.data.length, 0));
  file.set(head);
  let at = head.length;
  for (const { data } of ordered) {
    file.set(data, at);
    at += data.length;
  }
  return file;
}
