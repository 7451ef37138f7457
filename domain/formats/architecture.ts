/** Pure. Declared graphs: what `mlp:relu:sigmoid` says (`publishing.md` 1.1), and the layers that named tensors make. */
import type { Architecture } from '../events/model.ts';
import { isRefused, refuse, type Refused } from '../refused.ts';
import { compareUtf8 } from './safetensors/order.ts';
import { isOtherFloat } from './safetensors/dtype.ts';
import type { TensorShape } from './safetensors/write.ts';

export type HiddenActivation = 'relu' | 'tanh' | 'sigmoid';
export type OutputActivation = 'softmax' | 'sigmoid' | 'linear';

export interface MlpKind {
  /** Between layers. */
  readonly hidden: HiddenActivation;
  /** After the last layer; `linear`: raw output. */
  readonly output: OutputActivation;
}

export interface MlpLayer {
  /** Names as in the file. `weight` is [out, in]. */
  readonly weight: string;
  readonly bias: string | null;
  readonly inDim: number;
  readonly outDim: number;
}

export interface MlpPlan extends MlpKind {
  readonly layers: readonly MlpLayer[];
}

const KIND = /^mlp(?::(relu|tanh|sigmoid))?(?::(softmax|sigmoid|linear))?$/;
const mismatch = (detail: string, tensor?: string) => refuse('architecture_mismatch', detail, tensor);

/**
 * Grammar `mlp[:relu|tanh|sigmoid][:softmax|sigmoid|linear]`, read from the left: `mlp:sigmoid` is sigmoid between layers.
 * Defaults: relu between layers, raw output. A single output needs its activation said, as weights do not reveal it.
 */
export function parseKind(architecture: Architecture): MlpKind | Refused {
  const match = KIND.exec(architecture.kind);
  if (!match) {
    const grammar = 'mlp[:relu|tanh|sigmoid][:softmax|sigmoid|linear]';
    return mismatch(`architecture kind "${architecture.kind}" is unknown, expected ${grammar}`);
  }
  if (architecture.output_dim === 1 && match[2] === undefined) {
    return mismatch(
      'with output_dim 1 the kind must say the output activation, such as mlp:relu:sigmoid or mlp:relu:linear',
    );
  }
  // The pattern admits these words only.
  return { hidden: (match[1] ?? 'relu') as HiddenActivation, output: (match[2] ?? 'linear') as OutputActivation };
}

/** Order of two runs of digits as numbers, of any length. */
function compareDigits(a: string, b: string): number {
  const x = a.replace(/^0+/, '');
  const y = b.replace(/^0+/, '');
  return x.length - y.length || compareUtf8(x, y);
}

/** Names as people count: `fc2` before `fc10`. What is equal so far is decided by UTF-8 order. */
export function compareNatural(a: string, b: string): number {
  const as = a.match(/\d+|\D+/g) ?? [];
  const bs = b.match(/\d+|\D+/g) ?? [];
  for (let i = 0; i < Math.min(as.length, bs.length); i += 1) {
    const x = as[i]!;
    const y = bs[i]!;
    const areNumbers = /^\d/.test(x) && /^\d/.test(y);
    const order = areNumbers ? compareDigits(x, y) : compareUtf8(x, y);
    if (order !== 0) return order;
  }
  return as.length - bs.length || compareUtf8(a, b);
}

function layersOf(tensors: readonly TensorShape[]): MlpLayer[] | Refused {
  const floats = [...tensors].filter((t) => t.dtype === 'F32').sort((a, b) => compareNatural(a.name, b.name));
  const byName = new Map(floats.map((t) => [t.name, t]));
  const used = new Set<string>();
  const layers: MlpLayer[] = [];
  for (const { name, shape } of floats) {
    const [outDim, inDim] = shape;
    if (!name.endsWith('weight') || shape.length !== 2 || outDim === undefined || inDim === undefined) continue;
    const bias = byName.get(`${name.slice(0, -'weight'.length)}bias`);
    if (bias && (bias.shape.length !== 1 || bias.shape[0] !== outDim))
      return mismatch(`bias "${bias.name}" must be [${outDim}], it is [${bias.shape.join(', ')}]`, bias.name);
    layers.push({ weight: name, bias: bias?.name ?? null, inDim, outDim });
    used.add(name);
    if (bias) used.add(bias.name);
  }
  const left = floats.find((t) => !used.has(t.name));
  if (left)
    return mismatch(
      `tensor "${left.name}" [${left.shape.join(', ')}] is no layer: layers are <p>weight [out, in] and <p>bias [out]`,
      left.name,
    );
  return layers;
}

/**
 * The layers that the tensors make. Each 2-D `<p>weight` [out, in] with its optional `<p>bias` is one; a file has no order of
 * its own, so layers follow the natural order of their names (`fc1`, `fc2`, …, `fc10`).
 *
 * @param tensors names, dtypes, shapes of the model file; integers and booleans take no part
 * @returns       the plan, or `architecture_mismatch` that names the tensor
 */
export function planMlp(architecture: Architecture, tensors: readonly TensorShape[]): MlpPlan | Refused {
  const kind = parseKind(architecture);
  if (isRefused(kind)) return kind;
  const other = tensors.find((t) => isOtherFloat(t.dtype));
  if (other) return mismatch(`tensor "${other.name}" is ${other.dtype}, graphs take F32`, other.name);
  const layers = layersOf(tensors);
  if (isRefused(layers)) return layers;
  const { input_dim: inputDim, hidden_dim: hiddenDim, output_dim: outputDim } = architecture;
  if (layers.length === 0) return mismatch('the file has no layer: expected <p>weight [out, in] tensors of F32');
  if (hiddenDim !== undefined && layers.length < 2)
    return mismatch(
      `hidden_dim ${hiddenDim} needs two layers or more, the file has only "${layers[0]!.weight}"`,
      layers[0]!.weight,
    );
  let width = inputDim;
  for (const [i, { weight, inDim, outDim }] of layers.entries()) {
    const isLast = i === layers.length - 1;
    const wanted = isLast ? outputDim : (hiddenDim ?? outDim);
    if (inDim !== width || outDim !== wanted)
      return mismatch(`layer "${weight}" must be [${wanted}, ${width}], it is [${outDim}, ${inDim}]`, weight);
    width = outDim;
  }
  return { ...kind, layers };
}
