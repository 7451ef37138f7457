/** Pure. An ONNX model from named tensors: opset 17, IR 8, one Gemm a layer. Equal tensors give equal bytes. */
import { create, toBinary } from '@bufbuild/protobuf';
import {
  AttributeProto_AttributeType,
  AttributeProtoSchema,
  GraphProtoSchema,
  ModelProtoSchema,
  NodeProtoSchema,
  OperatorSetIdProtoSchema,
  TensorProto_DataType,
  TensorProtoSchema,
  TensorShapeProto_DimensionSchema,
  TensorShapeProtoSchema,
  TypeProto_TensorSchema,
  TypeProtoSchema,
  ValueInfoProtoSchema,
  type NodeProto,
} from 'onnx-buf';
import type { Architecture } from '../../events/model.ts';
import { planMlp, type HiddenActivation, type MlpPlan, type OutputActivation } from '../architecture.ts';
import { isRefusal, type Refusal } from '../../refusal.ts';
import type { Tensor } from '../safetensors/tensor.ts';

export const OPSET = 17;
const IR_VERSION = 8;

const OPS: Readonly<Record<HiddenActivation | OutputActivation, string | null>> = {
  relu: 'Relu',
  tanh: 'Tanh',
  sigmoid: 'Sigmoid',
  softmax: 'Softmax',
  linear: null,
};

const intAttribute = (name: string, value: number) =>
  create(AttributeProtoSchema, { name, type: AttributeProto_AttributeType.INT, i: BigInt(value) });

/** `values` as a float matrix [batch, columns] with a free first dimension. */
function batchOf(name: string, columns: number) {
  const dim = [
    create(TensorShapeProto_DimensionSchema, { value: { case: 'dimParam', value: 'batch' } }),
    create(TensorShapeProto_DimensionSchema, { value: { case: 'dimValue', value: BigInt(columns) } }),
  ];
  const tensor = create(TypeProto_TensorSchema, {
    elemType: TensorProto_DataType.FLOAT,
    shape: create(TensorShapeProtoSchema, { dim }),
  });
  return create(ValueInfoProtoSchema, {
    name,
    type: create(TypeProtoSchema, { value: { case: 'tensorType', value: tensor } }),
  });
}

/** Gemm and activation of every layer. Value names cannot meet initialisers: those end in `weight` or `bias`. */
function nodesOf({ layers, hidden, output }: MlpPlan): NodeProto[] {
  const nodes: NodeProto[] = [];
  let value = 'input';
  for (const [i, layer] of layers.entries()) {
    const isLast = i === layers.length - 1;
    const op = OPS[isLast ? output : hidden];
    const after = isLast ? 'output' : `layer${i + 1}`;
    const linear = op === null ? after : `layer${i + 1}_linear`;
    nodes.push(
      create(NodeProtoSchema, {
        name: `gemm${i + 1}`,
        opType: 'Gemm',
        input: layer.bias === null ? [value, layer.weight] : [value, layer.weight, layer.bias],
        output: [linear],
        attribute: [intAttribute('transB', 1)],
      }),
    );
    if (op !== null) {
      const attribute = op === 'Softmax' ? [intAttribute('axis', -1)] : [];
      nodes.push(
        create(NodeProtoSchema, {
          name: `${op.toLowerCase()}${i + 1}`,
          opType: op,
          input: [linear],
          output: [after],
          attribute,
        }),
      );
    }
    value = after;
  }
  return nodes;
}

function initialiser({ name, shape, data }: Tensor) {
  const rawData = new Uint8Array(data); // a copy: the view may share a larger buffer
  return create(TensorProtoSchema, { name, dims: shape.map(BigInt), dataType: TensorProto_DataType.FLOAT, rawData });
}

/**
 * The declared graph over these tensors: `input` [batch, in] → `output` [batch, out], initialisers named as in the file.
 *
 * @returns the model's bytes, or `architecture_mismatch`
 */
export function buildMlp(architecture: Architecture, tensors: readonly Tensor[]): Uint8Array | Refusal {
  const plan = planMlp(architecture, tensors);
  if (isRefusal(plan)) return plan;
  const byName = new Map(tensors.map((t) => [t.name, t]));
  const used = plan.layers.flatMap(({ weight, bias }) => (bias === null ? [weight] : [weight, bias]));
  const model = create(ModelProtoSchema, {
    irVersion: BigInt(IR_VERSION),
    producerName: 'edgeml',
    opsetImport: [create(OperatorSetIdProtoSchema, { domain: '', version: BigInt(OPSET) })],
    graph: create(GraphProtoSchema, {
      name: 'mlp',
      node: nodesOf(plan),
      initializer: used.map((name) => initialiser(byName.get(name)!)),
      input: [batchOf('input', architecture.input_dim)],
      output: [batchOf('output', architecture.output_dim)],
    }),
  });
  return toBinary(ModelProtoSchema, model);
}
