/**
 * Pure. Declared graphs: what `mlp:relu:sigmoid` says (docs/design/publishing.md "Declared graphs"), and the layers that named
 * tensors make.
 */
import type { Architecture } from '../events/model.ts';
import { isRefusal, refuse, type Refusal } from '../refusal.ts';
import { compareNatural, orderLayers, type MlpLayer } from './layerOrder.ts';
import { isOtherFloat } from './safetensors/dtype.ts';
import { LIMITS } from './safetensors/limits.ts';
import type { TensorShape } from './safetensors/write.ts';

export type HiddenActivation = 'relu' | 'tanh' | 'sigmoid';
export type OutputActivation = 'softmax' | 'sigmoid' | 'linear';

export interface MlpKind {
  /** Between layers. */
  readonly hidden: HiddenActivation;
  /** After the last layer; `linear`: raw output. */
  readonly output: OutputActivation;
}

export interface MlpPlan extends MlpKind {
  readonly layers: readonly MlpLayer[];
}

const KIND = /^mlp(?::(relu|tanh|sigmoid))?(?::(softmax|sigmoid|linear))?$/;
const mismatch = (detail: string, tensor?: string) =>
  refuse('architecture_mismatch', detail, tensor === undefined ? undefined : { tensor });

/**
 * Grammar `mlp[:relu|tanh|sigmoid][:softmax|sigmoid|linear]`, read from the left: `mlp:sigmoid` is sigmoid between layers.
 * Defaults: relu between layers, raw output. A single output needs its activation said, as weights do not reveal it.
 */
export function parseKind(architecture: Architecture): MlpKind | Refusal {
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

/**
 * What a declared graph cannot be, whatever its tensors: of an unknown kind, or with more weights than a file may hold.
 *
 * @returns the JSON pointer of the member at fault, below the architecture; undefined if a graph can be built
 */
export function architectureProblem(architecture: Architecture): (Refusal & { readonly pointer: string }) | undefined {
  const kind = parseKind(architecture);
  if (isRefusal(kind)) return { ...kind, pointer: '/kind' };
  const { input_dim: input, hidden_dim: hidden, output_dim: output } = architecture;
  const weights = hidden === undefined ? input * output : input * hidden + hidden * output;
  if (weights <= LIMITS.parameters) return undefined;
  const detail = `its layers have at least ${weights} weights, at most ${LIMITS.parameters} are allowed`;
  return { ...mismatch(detail), pointer: hidden === undefined ? '/output_dim' : '/hidden_dim' };
}

function layersOf(tensors: readonly TensorShape[]): MlpLayer[] | Refusal {
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

/** Names and shapes of a few layers, for a person to find them. */
function few(layers: readonly MlpLayer[]): string {
  const named = layers.slice(0, 4).map((l) => `"${l.weight}" [${l.outDim}, ${l.inDim}]`);
  return `${named.join(', ')}${layers.length > 4 ? `, and ${layers.length - 4} more` : ''}`;
}

/**
 * The layers that the tensors make. Each 2-D `<p>weight` [out, in] with its optional `<p>bias` is one; {@link orderLayers} says
 * which follows which (`fc1`, `fc2`, …, `fc10`). Where names and widths leave it open it is refused: the reference of the gate
 * runs on this very plan, so a guess would pass every check and be wrong.
 *
 * @param tensors names, dtypes, shapes of the model file; integers and booleans take no part
 * @returns       the plan, or `architecture_mismatch` that names the tensor
 */
export function planMlp(architecture: Architecture, tensors: readonly TensorShape[]): MlpPlan | Refusal {
  const kind = parseKind(architecture);
  if (isRefusal(kind)) return kind;
  const other = tensors.find((t) => isOtherFloat(t.dtype));
  if (other) return mismatch(`tensor "${other.name}" is ${other.dtype}, graphs take F32`, other.name);
  const found = layersOf(tensors);
  if (isRefusal(found)) return found;
  const { input_dim: inputDim, hidden_dim: hiddenDim, output_dim: outputDim } = architecture;
  if (found.length === 0) return mismatch('the file has no layer: expected <p>weight [out, in] tensors of F32');
  if (hiddenDim !== undefined && found.length < 2)
    return mismatch(
      `hidden_dim ${hiddenDim} needs two layers or more, the file has only "${found[0]!.weight}"`,
      found[0]!.weight,
    );
  const layers = orderLayers(found, inputDim);
  if (!layers)
    return mismatch(
      `the order of the layers ${few(found)} is not certain: their names differ in more than digits, and from input_dim ` +
        `${inputDim} their shapes fit one after the other in several ways or in none. Rename them to count in the order in ` +
        `which they run, such as "layer1.weight", "layer2.weight"`,
      found[0]!.weight,
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
