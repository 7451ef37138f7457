/** Pure. What `torch.save` wrote, as tensors. Nothing of it is run (docs/design/publishing.md "PyTorch files"). */
import { elementsOf, sizeOf, type Tensor } from '../safetensors/index.ts';
import { LIMITS } from '../safetensors/limits.ts';
import { nameProblem } from '../safetensors/headerText.ts';
import { refuse, type Refusal } from '../../refusal.ts';
import { type Storage, TensorView, unpickle, type Value } from './pickle.ts';
import { Unreadable } from './unreadable.ts';
import { readZip } from './zip.ts';

const WRAPPED = ['state_dict', 'model_state_dict', 'model'];

/** Whether the bytes begin as a ZIP archive does. */
export const isZip = (bytes: Uint8Array): boolean =>
  bytes[0] === 0x50 && bytes[1] === 0x4b && bytes[2] === 0x03 && bytes[3] === 0x04;

/**
 * The tensors of a state_dict, or of a dict that has one under `state_dict`, `model_state_dict` or `model`, in its order. Never throws.
 *
 * @param mostBytes of all tensors together: a view may claim terabytes of one number
 * @returns `unsafe_file` for what only running it could read, `malformed_container`, `payload_too_large`
 */
export function readTorch(file: Uint8Array, mostBytes: number): readonly Tensor[] | Refusal {
  try {
    return tensorsOf(file, mostBytes);
  } catch (error) {
    if (error instanceof Unreadable) return refuse(error.code, error.message);
    throw error;
  }
}

const bad = (detail: string) => new Unreadable('malformed_container', detail);

function tensorsOf(file: Uint8Array, mostBytes: number): readonly Tensor[] {
  const entries = readZip(file);
  const pickles = [...entries.keys()].filter((name) => /^[^/]+\/data\.pkl$/.test(name));
  const [pickle] = pickles;
  if (pickle === undefined || pickles.length > 1) throw bad('the archive is not what torch.save writes: data.pkl');
  const root = pickle.slice(0, -'data.pkl'.length);
  if (entries.has(`${root}constants.pkl`) || [...entries.keys()].some((name) => name.startsWith(`${root}code/`)))
    throw new Unreadable('unsafe_file', 'this is TorchScript, which is code. Save the state_dict alone');
  const order = entries.get(`${root}byteorder`);
  if (order !== undefined && new TextDecoder().decode(order).trim() !== 'little')
    throw bad('its numbers are big-endian');

  const views = stateDict(unpickle(entries.get(pickle)!));
  if (views.length === 0) throw bad('the state_dict has no tensor');
  if (views.length > LIMITS.tensors) throw bad(`the state_dict has more than ${LIMITS.tensors} tensors`);
  let total = 0;
  for (const [name, { shape, storage }] of views) {
    total += elementsOf(shape) * sizeOf(storage.dtype);
    const problem = nameProblem(name, LIMITS.name);
    if (problem !== undefined) throw bad(problem);
    if (total > mostBytes) throw new Unreadable('payload_too_large', `its tensors take more than ${mostBytes} bytes`);
  }
  const bytesOf = ({ key, dtype, length }: Storage): Uint8Array => {
    const bytes = entries.get(`${root}data/${key}`);
    if (bytes?.length === length * sizeOf(dtype)) return bytes;
    throw bad(`storage ${key} is not there, or is not as long as it is said to be`);
  };
  return views.map(([name, view]) => ({
    name,
    dtype: view.storage.dtype,
    shape: view.shape,
    data: materialised(name, view, bytesOf(view.storage)),
  }));
}

/** One dict around it at most: a dict may hold itself. */
function stateDict(saved: Value): (readonly [string, TensorView])[] {
  if (!(saved instanceof Map)) throw bad('it is no state_dict: a dict of tensors by name');
  const inner = WRAPPED.map((key) => saved.get(key)).find((value) => value instanceof Map);
  return [...(inner ?? saved)].map(([name, value]) => {
    if (typeof name === 'string' && value instanceof TensorView) return [name, value] as const;
    throw bad(`${JSON.stringify(name)} of the dict is no tensor; a state_dict has nothing else`);
  });
}

/** The numbers of a view in row-major order: a copy, unless they lie so already. */
function materialised(name: string, { storage, offset, shape, stride }: TensorView, bytes: Uint8Array): Uint8Array {
  const size = sizeOf(storage.dtype);
  const count = elementsOf(shape);
  if (count === 0) return new Uint8Array(0);
  const last = shape.reduce((at, dim, i) => at + (dim - 1) * stride[i]!, offset);
  if (!(last < storage.length)) throw bad(`tensor ${JSON.stringify(name)} reaches beyond its storage`);
  if (isRowMajor(shape, stride)) return bytes.subarray(offset * size, (offset + count) * size);
  const data = new Uint8Array(count * size);
  const index = shape.map(() => 0);
  let from = offset;
  for (let to = 0; to < count; to += 1) {
    for (let i = 0; i < size; i += 1) data[to * size + i] = bytes[from * size + i]!;
    for (let dim = shape.length - 1; dim >= 0; dim -= 1) {
      index[dim]! += 1;
      from += stride[dim]!;
      if (index[dim]! < shape[dim]!) break;
      from -= stride[dim]! * shape[dim]!;
      index[dim] = 0;
    }
  }
  return data;
}

function isRowMajor(shape: readonly number[], stride: readonly number[]): boolean {
  let expected = 1;
  for (let dim = shape.length - 1; dim >= 0; dim -= 1) {
    if (shape[dim] !== 1 && stride[dim] !== expected) return false;
    expected *= shape[dim]!;
  }
  return true;
}
