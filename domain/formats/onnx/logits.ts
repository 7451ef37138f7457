/** Pure. A built model with the input of its last activation as a second output: probabilities hide logits. */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { ModelProtoSchema, ValueInfoProtoSchema } from 'onnx-buf';

/**
 * The same graph with one more output; undefined if the last layer has no activation, so that its output is the logits.
 *
 * @param model what `buildMlp` gave
 * @returns     the model to run, and the name of the added output
 */
export function exposeLogits(model: Uint8Array): { readonly model: Uint8Array; readonly name: string } | undefined {
  const decoded = fromBinary(ModelProtoSchema, model);
  const last = decoded.graph?.node.find((node) => node.output.includes('output'));
  const name = last?.input[0];
  const output = decoded.graph?.output[0];
  if (!last || last.opType === 'Gemm' || name === undefined || !output?.type) return undefined;
  decoded.graph!.output.push(create(ValueInfoProtoSchema, { name, type: output.type }));
  return { model: toBinary(ModelProtoSchema, decoded), name };
}
