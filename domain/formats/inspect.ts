/** Pure. What kind of model file some bytes are: told by the bytes, never by a name or a label (docs/design/publishing.md "Uploads"). */
import { fromBinary } from '@bufbuild/protobuf';
import { ModelProtoSchema, TensorProto_DataLocation } from 'onnx-buf';
import { isRefusal, refuse, type Refusal } from '../refusal.ts';
import { ONNX, SAFETENSORS } from './fileFormats.ts';
import { isZip, readTorch } from './pytorch/index.ts';
import { readSafetensors, type Tensor } from './safetensors/index.ts';

export type ModelFile =
  /** A state_dict, or safetensors in any order. */
  | { readonly format: typeof SAFETENSORS.name; readonly tensors: readonly Tensor[] }
  /** Kept as it is. */
  | { readonly format: typeof ONNX.name };

/**
 * Never throws, and runs nothing.
 *
 * @param mostBytes of all tensors together
 * @returns `file_not_supported` with what it looks like; what its reader says of a broken one
 */
export function inspectModel(bytes: Uint8Array, mostBytes: number): ModelFile | Refusal {
  if (isZip(bytes)) return asTensors(readTorch(bytes, mostBytes));
  if (bytes[8] === 0x7b) {
    const file = readSafetensors(bytes);
    return asTensors(isRefusal(file) ? file : file.tensors);
  }
  const other = looksLike(bytes);
  if (other !== undefined)
    return refuse('file_not_supported', `this looks like ${other}. Send a state_dict (.pt), safetensors or ONNX`);
  return onnxModel(bytes);
}

const asTensors = (tensors: readonly Tensor[] | Refusal): ModelFile | Refusal =>
  isRefusal(tensors) ? tensors : { format: SAFETENSORS.name, tensors };

const starts = (bytes: Uint8Array, text: string, at = 0) =>
  [...text].every((c, i) => bytes[at + i] === c.charCodeAt(0));

function looksLike(bytes: Uint8Array): string | undefined {
  if (bytes.length === 0) return 'a file without a byte';
  if (starts(bytes, '\x93NUMPY')) return 'a NumPy array, which is data and not a model';
  if (bytes[0] === 0x80 && bytes[1]! >= 2 && bytes[1]! <= 5)
    return 'a pickle, as torch wrote before 1.6, which only running it could read; save the state_dict with a newer torch';
  if (starts(bytes, 'TFL3', 4)) return 'a TensorFlow Lite model';
  if (starts(bytes, '\x89HDF\r\n')) return 'an HDF5 file, such as Keras writes';
  if (starts(bytes, '\x1f\x8b')) return 'a gzip archive';
  if (starts(bytes, 'GGUF')) return 'a GGUF model';
  if (starts(bytes, 'PK')) return 'an empty ZIP archive';
  if (bytes.subarray(0, 200).every((b) => b === 9 || b === 10 || b === 13 || (b >= 32 && b < 127))) return 'text';
  return undefined;
}

function onnxModel(bytes: Uint8Array): ModelFile | Refusal {
  const refused = (detail: string) => refuse('file_not_supported', `this is no kind of file that is taken: ${detail}`);
  try {
    const { graph, opsetImport } = fromBinary(ModelProtoSchema, bytes);
    if (!graph || opsetImport.length === 0) return refused('not a state_dict, not safetensors, and no ONNX graph');
    const outside = graph.initializer.find((one) => one.dataLocation === TensorProto_DataLocation.EXTERNAL);
    if (outside) return refused(`its weights (${outside.name}) are in another file; export ONNX without external data`);
    return { format: ONNX.name };
  } catch {
    return refused('not a state_dict, not safetensors, not ONNX');
  }
}
