/**
 * Step 4 of docs/design/publishing.md "The gate": the exact bytes run, optimised and not, and say what plain loops say. Trusts no
 * writer, also not our own.
 */
import { LifecycleError } from '../../domain/errors.ts';
import type { Architecture } from '../../domain/events/model.ts';
import type { GateCheck } from '../../domain/events/version.ts';
import { parseKind, type OutputActivation } from '../../domain/formats/architecture.ts';
import {
  compareOutputs,
  exposeLogits,
  GOLDEN_ROWS,
  goldenInputs,
  isConstant,
  referenceForward,
} from '../../domain/formats/onnx/index.ts';
import { isRefusal, readSafetensors, type Refusal } from '../../domain/formats/safetensors/index.ts';
import { canonicalSha } from '../../domain/hash/canonicalJson.ts';
import type { ArtifactStore } from '../../store/artifacts/artifactStore.ts';
import { isFailure, type OnnxFailure, type OnnxModel, type OnnxRuntime } from '../runtimes/onnxRuntime.ts';
import { check, refusedBy, type GateRefused } from './gate.ts';

export interface OnnxToVerify {
  readonly blobs: ArtifactStore;
  readonly runtime: OnnxRuntime;
  readonly onnxSha: string;
  readonly tensorsSha: string;
  readonly architecture: Architecture;
  readonly version: string;
  readonly signal?: AbortSignal | undefined;
}

export interface VerifiedOnnx {
  readonly kind: 'verified';
  readonly checks: readonly GateCheck[];
  /** Name and version of what ran the bytes. */
  readonly runtime: string;
  /** Seed of the golden inputs. */
  readonly seed: string;
}

interface Ran {
  readonly runtime: string;
  readonly data: Float32Array;
  readonly dims: readonly number[];
}

/** Golden inputs depend on what is promised, not on the weights: SHA-256 of contract and version. */
export const goldenSeed = (architecture: Architecture, version: string): string =>
  canonicalSha({ architecture, version });

function expectFit<T extends object>(value: T | Refusal): T {
  if (isRefusal(value)) throw new LifecycleError(value.code, value.detail);
  return value;
}

async function runOnce(
  runtime: OnnxRuntime,
  model: OnnxModel,
  input: Float32Array,
  columns: number,
  output: string,
): Promise<Ran | OnnxFailure> {
  const session = await runtime.openOnnxSession(model);
  if (isFailure(session)) return session;
  try {
    const answer = await session.run([{ name: 'input', dims: [GOLDEN_ROWS, columns], data: input }], model.signal);
    if (isFailure(answer)) return answer;
    const found = answer.outputs.find((t) => t.name === output);
    if (!found) return { failure: 'refused', detail: `the model has no output "${output}"` };
    return { runtime: session.runtime, data: found.data, dims: found.dims };
  } finally {
    session.close();
  }
}

/**
 * A dead or hung runtime is tried once more; a refusal is not.
 *
 * @throws LifecycleError `conversion_unavailable`: the runtime does not load here, whatever the model
 */
async function run(...call: Parameters<typeof runOnce>): Promise<Ran | OnnxFailure> {
  const first = await runOnce(...call);
  const result =
    isFailure(first) && !['refused', 'unavailable'].includes(first.failure) ? await runOnce(...call) : first;
  if (isFailure(result) && result.failure === 'unavailable')
    throw new LifecycleError('conversion_unavailable', `ONNX Runtime does not load on this worker: ${result.detail}`);
  return result;
}

const measured = (c: { difference: number; bound: number }) => `largest difference ${c.difference}, at most ${c.bound}`;

/** Smallest and largest, in one loop: outputs may be more than a call takes as arguments. */
function rangeOf(data: Float32Array): readonly [least: number, most: number] {
  let least = Infinity;
  let most = -Infinity;
  for (const x of data) {
    least = Math.min(least, x);
    most = Math.max(most, x);
  }
  return [least, most];
}

function judge(
  name: string,
  ran: Ran | OnnxFailure,
  reference: Float64Array,
  columns: number,
  activation: OutputActivation,
): GateCheck {
  if (isFailure(ran)) return check(4, name, false, `${ran.failure}: ${ran.detail}`);
  if (ran.dims.join() !== `${GOLDEN_ROWS},${columns}`)
    return check(4, name, false, `shape [${ran.dims.join(', ')}], expected [${GOLDEN_ROWS}, ${columns}]`);
  if (!ran.data.every(Number.isFinite)) return check(4, name, false, 'an output is NaN or infinite');
  const comparison = compareOutputs(ran.data, reference, activation);
  return check(4, name, comparison.passed, measured(comparison));
}

/**
 * Runs the stored ONNX on 16 golden inputs and compares it with the reference; where an activation ends the graph, its input
 * is compared as well. Refuses a model whose outputs never change.
 *
 * @throws LifecycleError `conversion_unavailable` (retry), `blob_unknown`
 */
export async function verifyOnnx(work: OnnxToVerify): Promise<VerifiedOnnx | GateRefused> {
  const { blobs, runtime, architecture, signal } = work;
  const { input_dim: inDim, output_dim: outDim } = architecture;
  const model = await blobs.bytes(work.onnxSha);
  const { tensors } = expectFit(readSafetensors(await blobs.bytes(work.tensorsSha)));
  const { hidden, output } = expectFit(parseKind(architecture));
  const seed = goldenSeed(architecture, work.version);
  const input = goldenInputs(seed, inDim);
  const reference = expectFit(referenceForward(architecture, tensors, input, GOLDEN_ROWS));
  const checks: GateCheck[] = [];
  let name = '';

  for (const optimise of [true, false]) {
    const ran = await run(runtime, { model, optimise, signal }, input, inDim, 'output');
    const made = judge(optimise ? 'onnx_runs_optimised' : 'onnx_runs', ran, reference, outDim, output);
    if (!made.passed) return refusedBy(checks, made);
    checks.push(made);
    if (isFailure(ran)) continue; // judged above
    name = ran.runtime;
    const [least, most] = rangeOf(ran.data);
    const range = `outputs from ${least} to ${most}`;
    const varies = check(
      4,
      'output_varies',
      !isConstant(ran.data, GOLDEN_ROWS),
      `${range} over ${GOLDEN_ROWS} golden inputs`,
    );
    if (!varies.passed) return refusedBy(checks, varies);
    if (optimise) checks.push(varies);
  }

  const exposed = exposeLogits(model);
  if (exposed) {
    const raw = { ...architecture, kind: `mlp:${hidden}:linear` };
    const logits = expectFit(referenceForward(raw, tensors, input, GOLDEN_ROWS));
    const ran = await run(runtime, { model: exposed.model, optimise: false, signal }, input, inDim, exposed.name);
    const made = judge('logits', ran, logits, outDim, 'linear');
    if (!made.passed) return refusedBy(checks, made);
    checks.push(made);
  }
  return { kind: 'verified', checks, runtime: name, seed };
}
