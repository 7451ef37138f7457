/**
 * Pure. A state_dict as `torch.load(weights_only=True)` reads it: the smallest archive that does. Equal tensors give equal bytes
 * (docs/design/publishing.md "PyTorch files").
 */
import { utf8ToBytes } from '../../hash/sha256.ts';
import { refuse, type Refusal } from '../../refusal.ts';
import { elementsOf, type Tensor } from '../safetensors/index.ts';
import { storageOfDtype } from './dtypes.ts';
import { writeZip } from './zip.ts';

const STEM = 'archive';

/** @returns `dtype_mismatch` for numbers of a kind that torch does not have */
export function writeTorch(tensors: readonly Tensor[]): Uint8Array | Refusal {
  const unknown = tensors.find(({ dtype }) => storageOfDtype(dtype) === undefined);
  if (unknown)
    return refuse('dtype_mismatch', `tensor "${unknown.name}" is ${unknown.dtype}, which torch does not have`, {
      tensor: unknown.name,
    });
  const storages = tensors.map(({ data }, i) => [`${STEM}/data/${i}`, data] as const);
  return writeZip([
    [`${STEM}/data.pkl`, pickleOf(tensors)],
    [`${STEM}/byteorder`, utf8ToBytes('little')],
    ...storages,
    [`${STEM}/version`, utf8ToBytes('3\n')],
  ]);
}

function pickleOf(tensors: readonly Tensor[]): Uint8Array {
  const parts: Uint8Array[] = [];
  const ops = (...bytes: number[]) => void parts.push(Uint8Array.from(bytes));
  const uint32 = (value: number) => {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, value, true);
    parts.push(bytes);
  };
  const text = (value: string) => {
    const bytes = utf8ToBytes(value);
    ops(0x58); // BINUNICODE
    uint32(bytes.length);
    parts.push(bytes);
  };
  const global = (module: string, name: string) => void parts.push(utf8ToBytes(`c${module}\n${name}\n`));
  const int = (value: number) => {
    if (value < 2 ** 31) {
      ops(0x4a); // BININT
      uint32(value);
      return;
    }
    ops(0x8a, 8); // LONG1
    uint32(value % 2 ** 32);
    uint32(Math.floor(value / 2 ** 32));
  };
  const ints = (values: readonly number[]) => {
    ops(0x28);
    values.forEach(int);
    ops(0x74); // TUPLE
  };
  const orderedDict = () => {
    global('collections', 'OrderedDict');
    ops(0x29, 0x52); // EMPTY_TUPLE REDUCE
  };

  ops(0x80, 2); // PROTO
  orderedDict();
  ops(0x28);
  tensors.forEach(({ name, dtype, shape }, i) => {
    text(name);
    global('torch._utils', '_rebuild_tensor_v2');
    ops(0x28, 0x28);
    text('storage');
    global('torch', storageOfDtype(dtype)!);
    text(String(i));
    text('cpu');
    int(elementsOf(shape));
    ops(0x74, 0x51); // TUPLE BINPERSID
    int(0);
    ints(shape);
    ints(rowMajor(shape));
    ops(0x89); // NEWFALSE
    orderedDict();
    ops(0x74, 0x52); // TUPLE REDUCE
  });
  ops(0x75, 0x2e); // SETITEMS STOP
  const bytes = new Uint8Array(parts.reduce((n, part) => n + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

const rowMajor = (shape: readonly number[]): number[] =>
  shape.map((_, i) => shape.slice(i + 1).reduce((n, dim) => n * Math.max(1, dim), 1));
