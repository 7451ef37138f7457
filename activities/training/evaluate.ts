/** Figures of a model on held-out data, by the runtime that its users will have. */
import { LifecycleError } from '../../domain/errors.ts';
import type { Architecture } from '../../domain/events/model.ts';
import { parseKind } from '../../domain/formats/architecture.ts';
import { buildMlp } from '../../domain/formats/onnx/index.ts';
import {
  f32Values,
  findTensor,
  isRefusal,
  readSafetensors,
  type Refusal,
} from '../../domain/formats/safetensors/index.ts';
import type { ArtifactStore } from '../../store/artifacts/artifactStore.ts';
import { isFailure, type OnnxFailure, type OnnxRuntime, type OnnxSession } from '../runtimes/onnxRuntime.ts';
import { checkEvaluationSet, labelValues, type EvaluationLayout } from '../../domain/formats/evaluationSet.ts';
import { scoreOf } from './loss.ts';
import type { Progress } from './sumUpdates.ts';

/** Numbers sent to the child at once, 4 MiB. */
const BATCH_NUMBERS = 2 ** 20;

export interface Evaluation {
  readonly n: number;
  /** Mean over the set; null unless finite. */
  readonly loss: number | null;
  readonly accuracy: number | null;
  /** False if an output or the loss is not: such a round counts as diverging. */
  readonly finite: boolean;
}

/** @throws LifecycleError with the reader's code: the blob was checked when it came, so it is a surprise */
function expectFit<T extends object>(what: string, value: T | Refusal): T {
  if (isRefusal(value)) throw new LifecycleError(value.code, `${what}: ${value.detail}`);
  return value;
}

/**
 * The graph up to its logits. ONNX Runtime answers a Sigmoid's far ends with 0 and 1, and NaN with 1: one sure error would
 * make the loss infinite, and a broken model would look sound.
 */
function withoutOutputActivation(architecture: Architecture): Architecture {
  const { hidden } = expectFit('architecture', parseKind(architecture));
  return { ...architecture, kind: `mlp:${hidden}:linear` };
}

async function scoreBatches(
  session: OnnxSession,
  input: Float32Array,
  labels: Float64Array,
  { input_dim: inDim, output_dim: outDim }: Architecture,
  loss: EvaluationLayout['loss'],
  { beat, signal }: Progress,
): Promise<Evaluation | OnnxFailure> {
  const n = labels.length;
  const rows = Math.max(1, Math.floor(BATCH_NUMBERS / inDim));
  let lossSum = 0;
  let correct = 0;
  let finite = true;
  for (let at = 0; at < n; at += rows) {
    const end = Math.min(n, at + rows);
    beat?.(at);
    const data = input.slice(at * inDim, end * inDim);
    const answer = await session.run([{ name: 'input', dims: [end - at, inDim], data }], signal);
    if (isFailure(answer)) return answer;
    const outputs = answer.outputs.find((t) => t.name === 'output')?.data ?? new Float32Array(0);
    if (outputs.length !== (end - at) * outDim || !outputs.every(Number.isFinite)) finite = false;
    const scores = scoreOf(outputs, labels.subarray(at, end), outDim, loss);
    lossSum += scores.lossSum;
    correct += scores.correct;
  }
  const mean = lossSum / n;
  finite &&= Number.isFinite(mean);
  return { n, loss: finite ? mean : null, accuracy: finite ? correct / n : null, finite };
}

/**
 * A runtime that died, hung, ate memory or said no is tried once more, in a fresh process; one that does not load at all is not.
 *
 * @throws LifecycleError `conversion_unavailable` (retry later): the runtime does not load here, whatever the model;
 *   `model_not_runnable` (no retry): twice the same model, twice no answer
 */
async function twice(run: () => Promise<Evaluation | OnnxFailure>): Promise<Evaluation> {
  const first = await run();
  const result = isFailure(first) && first.failure !== 'unavailable' ? await run() : first;
  if (!isFailure(result)) return result;
  if (result.failure === 'unavailable')
    throw new LifecycleError('conversion_unavailable', `ONNX Runtime does not load on this worker: ${result.detail}`);
  throw new LifecycleError(
    'model_not_runnable',
    `ONNX Runtime failed twice on the model, at last by ${result.failure}: ${result.detail}`,
  );
}

/**
 * Runs the declared graph with the model's tensors over the set, in batches, in one child process.
 *
 * @returns the data of RoundEvaluated; a loss that is not finite is absent, and `finite` is false
 * @throws  LifecycleError `conversion_unavailable` (retry), `model_not_runnable`, `blob_unknown`, or the code of a set or model
 *          that does not fit
 */
export async function evaluate(
  work: Progress & {
    readonly blobs: ArtifactStore;
    readonly runtime: OnnxRuntime;
    readonly modelSha: string;
    readonly architecture: Architecture;
    readonly setSha: string;
  },
): Promise<Evaluation> {
  const { blobs, runtime, architecture, signal } = work;
  const model = expectFit(`model ${work.modelSha}`, readSafetensors(await blobs.bytes(work.modelSha)));
  const graph = expectFit(`model ${work.modelSha}`, buildMlp(withoutOutputActivation(architecture), model.tensors));
  const bytes = await blobs.bytes(work.setSha);
  const layout = expectFit(`evaluation set ${work.setSha}`, checkEvaluationSet(bytes, architecture));
  const set = expectFit(`evaluation set ${work.setSha}`, readSafetensors(bytes));
  const labels = expectFit(`evaluation set ${work.setSha}`, labelValues(layout, findTensor(set, 'labels')!.data));
  const input = f32Values(findTensor(set, 'input')!);
  return twice(async () => {
    const session = await runtime.openOnnxSession({ model: graph, signal });
    if (isFailure(session)) return session;
    try {
      return await scoreBatches(session, input, labels, architecture, layout.loss, work);
    } finally {
      session.close();
    }
  });
}
