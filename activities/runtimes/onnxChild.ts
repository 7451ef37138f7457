/**
 * The child process that runs one ONNX model. It holds no credentials and trusts nothing it is sent: a model that crashes or
 * hangs takes down this process alone. It ends when its parent goes.
 */
import type { InferenceSession } from 'onnxruntime-node';
import type { FromChild, OnnxTensor, OpenMessage, RunMessage, ToChild } from './protocol.ts';
import { cutText } from '../../domain/text.ts';

type Runtime = typeof import('onnxruntime-node');

const textOf = (error: unknown) => cutText(error instanceof Error ? error.message : String(error), 1_500);
const say = (message: FromChild) => process.send!(message);

let runtime: Runtime | undefined;
let session: InferenceSession | undefined;

async function open({ model, optimise }: OpenMessage): Promise<FromChild> {
  try {
    runtime = await import('onnxruntime-node');
  } catch (error) {
    return { kind: 'unavailable', detail: textOf(error) };
  }
  // One thread and fixed order: the same sums in every run.
  session = await runtime.InferenceSession.create(model, {
    executionProviders: ['cpu'],
    executionMode: 'sequential',
    graphOptimizationLevel: optimise ? 'all' : 'disabled',
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    logSeverityLevel: 3,
  });
  return { kind: 'opened', runtime: `onnxruntime-node ${runtime.env.versions.node ?? 'of unknown version'}` };
}

async function run({ inputs }: RunMessage): Promise<FromChild> {
  if (!runtime || !session) return { kind: 'refused', detail: 'no model was opened' };
  const { Tensor } = runtime;
  const feeds = Object.fromEntries(inputs.map((t) => [t.name, new Tensor('float32', t.data, t.dims)]));
  const outputs: OnnxTensor[] = [];
  for (const [name, value] of Object.entries(await session.run(feeds))) {
    if (!(value.data instanceof Float32Array))
      return { kind: 'refused', detail: `output "${name}" is ${value.type}, not float32` };
    outputs.push({ name, dims: value.dims, data: value.data });
  }
  return { kind: 'outputs', outputs };
}

process.on('disconnect', () => process.exit(0));
process.on('message', (message: ToChild) => {
  const work = message.kind === 'open' ? open(message) : run(message);
  work.then(say, (error: unknown) => say({ kind: 'refused', detail: textOf(error) }));
});
