/** Pure. The weights inside an ONNX file, as stored, for comparison bit for bit. */
import { fromBinary } from '@bufbuild/protobuf';
import { ModelProtoSchema, TensorProto_DataType } from 'onnx-buf';
import { refuse, type Refusal } from '../../refusal.ts';
import type { Tensor } from '../safetensors/tensor.ts';

/**
 * Float32 initialisers stored as raw data, in the order of the file. Never throws.
 *
 * @returns `malformed_container` for bytes that are no ONNX, or weights stored in a way we do not write
 */
export function readInitialisers(bytes: Uint8Array): readonly Tensor[] | Refusal {
  let graph;
  try {
    graph = fromBinary(ModelProtoSchema, bytes).graph;
  } catch (error) {
    return refuse('malformed_container', `not an ONNX model: ${error instanceof Error ? error.message : 'unreadable'}`);
  }
  if (!graph) return refuse('malformed_container', 'the ONNX model has no graph');
  const tensors: Tensor[] = [];
  for (const { name, dims, dataType, rawData } of graph.initializer) {
    const shape = dims.map(Number);
    const isFilled = shape.reduce((n, d) => n * d, 4) === rawData.length;
    // TypeScript enums of the generated code compare as numbers.
    if (dataType !== (TensorProto_DataType.FLOAT as number) || !isFilled)
      return refuse('malformed_container', `initialiser "${name}" is not float32 raw data of its shape`, {
        tensor: name,
      });
    tensors.push({ name, dtype: 'F32', shape, data: rawData });
  }
  return tensors;
}
