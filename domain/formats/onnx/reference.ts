/** Pure. The declared graph by plain loops: what the runtime's outputs are held against. */
import type { Architecture } from '../../events/model.ts';
import { planMlp, type HiddenActivation, type OutputActivation } from '../architecture.ts';
import { isRefusal, type Refusal } from '../../refusal.ts';
import { f32Values, type Tensor } from '../safetensors/tensor.ts';

type Activation = HiddenActivation | OutputActivation;

/** One row through an activation, in place. */
function activate(row: Float64Array, activation: Activation): void {
  if (activation === 'linear') return;
  if (activation !== 'softmax') {
    const f = { relu: (z: number) => (z < 0 ? 0 : z), tanh: Math.tanh, sigmoid: (z: number) => 1 / (1 + Math.exp(-z)) }[
      activation
    ];
    row.forEach((z, i) => (row[i] = f(z)));
    return;
  }
  const most = row.reduce((a, b) => Math.max(a, b), -Infinity);
  let total = 0;
  row.forEach((z, i) => (total += row[i] = Math.exp(z - most)));
  row.forEach((e, i) => (row[i] = e / total));
}

/**
 * Outputs of the declared graph in float64 from float32 weights: more exact than any float32 runtime, so that what differs is
 * the runtime's rounding.
 *
 * @param inputs [n, input_dim], row-major
 * @returns      [n, output_dim], or `architecture_mismatch`
 */
export function referenceForward(
  architecture: Architecture,
  tensors: readonly Tensor[],
  inputs: Float32Array,
  n: number,
): Float64Array | Refusal {
  const plan = planMlp(architecture, tensors);
  if (isRefusal(plan)) return plan;
  const byName = new Map(tensors.map((t) => [t.name, t]));
  let rows = Array.from({ length: n }, (_, r) =>
    Float64Array.from(inputs.subarray(r * architecture.input_dim, (r + 1) * architecture.input_dim)),
  );
  plan.layers.forEach(({ weight, bias, inDim, outDim }, l) => {
    const w = f32Values(byName.get(weight)!);
    const b = bias === null ? new Float32Array(outDim) : f32Values(byName.get(bias)!);
    rows = rows.map((row) => {
      const next = new Float64Array(outDim);
      for (let o = 0; o < outDim; o += 1) {
        let z = b[o]!;
        for (let i = 0; i < inDim; i += 1) z += w[o * inDim + i]! * row[i]!;
        next[o] = z;
      }
      activate(next, l === plan.layers.length - 1 ? plan.output : plan.hidden);
      return next;
    });
  });
  const outputs = new Float64Array(n * architecture.output_dim);
  rows.forEach((row, r) => outputs.set(row, r * architecture.output_dim));
  return outputs;
}
