/** The ONNX Runtime in its child process, against the plain reference, and with the child killed. */
import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, vi } from 'vitest';
import { buildMlp, goldenInputs, referenceForward } from '../../domain/formats/onnx/index.ts';
import { f32Tensor, isRefusal } from '../../domain/formats/safetensors/index.ts';
import { createOnnxRuntime, isFailure, type OnnxSession, type OnnxTensor } from './onnxRuntime.ts';

const architecture = { kind: 'mlp:tanh:softmax', input_dim: 6, hidden_dim: 5, output_dim: 3 };
const values = (n: number, f: (i: number) => number) => Float32Array.from({ length: n }, (_, i) => f(i));
const tensors = [
  f32Tensor(
    'l1.weight',
    [5, 6],
    values(30, (i) => Math.sin(i) / 2),
  ),
  f32Tensor(
    'l1.bias',
    [5],
    values(5, (i) => i / 10),
  ),
  f32Tensor(
    'l2.weight',
    [3, 5],
    values(15, (i) => Math.cos(3 * i)),
  ),
];
const built = buildMlp(architecture, tensors);
if (isRefusal(built)) throw new Error(built.detail);
const model: Uint8Array = built;
const data = goldenInputs('seed', 6);
const inputs: OnnxTensor[] = [{ name: 'input', dims: [16, 6], data }];
const runtime = createOnnxRuntime();

async function open(): Promise<OnnxSession> {
  const session = await runtime.openOnnxSession({ model });
  if (isFailure(session)) throw new Error(session.detail);
  return session;
}

/** The process is gone, seen from outside. */
function isGone(pid: number | undefined): boolean {
  try {
    return !process.kill(pid!, 0);
  } catch {
    return true;
  }
}

describe('createOnnxRuntime', () => {
  it('runs a model as the plain reference does, optimised or not, the same bits each time', async () => {
    const reference = referenceForward(architecture, tensors, data, 16) as Float64Array;
    for (const optimise of [true, false]) {
      const [first, second] = await Promise.all([1, 2].map(() => runtime.runOnnx({ model, inputs, optimise })));
      expect(second).toEqual(first);
      if (isFailure(first!)) throw new Error(first.detail);
      expect(first).toMatchObject({ outputs: [{ name: 'output', dims: [16, 3] }] });
      first!.outputs[0]!.data.forEach((p, i) => expect(p).toBeCloseTo(reference[i]!, 6));
    }
  });

  it('keeps one child for many batches, and none after close', async () => {
    const session = await open();
    expect(session.runtime).toMatch(/^onnxruntime-node 1\./);
    for (const n of [1, 16, 3]) {
      const batch = [{ name: 'input', dims: [n, 6], data: data.slice(0, n * 6) }];
      expect(await session.run(batch)).toMatchObject({ outputs: [{ dims: [n, 3] }] });
    }
    session.close();
    expect(await session.run(inputs)).toMatchObject({ failure: 'crash' });
    // Ended at once, gone when the kernel has reaped it.
    await vi.waitFor(() => expect(isGone(session.pid)).toBe(true), 5000);
  });

  it('says what the runtime refused: a file that is no model, inputs that do not fit', async () => {
    expect(await runtime.runOnnx({ model: Uint8Array.of(1, 2, 3), inputs })).toMatchObject({ failure: 'refused' });
    const misfit = [{ name: 'input', dims: [2, 3], data: new Float32Array(6) }];
    const refusal = await runtime.runOnnx({ model, inputs: misfit });
    expect(refusal).toMatchObject({ failure: 'refused', detail: expect.stringMatching(/input|dim/i) as string });
    const session = await open();
    expect(await session.run(misfit)).toMatchObject({ failure: 'refused' });
    expect(await session.run(inputs)).toMatchObject({ outputs: [{ dims: [16, 3] }] });
    session.close();
  });

  it('turns a crash, a stopped child and a greedy one into values, and works again', async () => {
    const crashed = await open();
    process.kill(crashed.pid!, 'SIGSEGV');
    expect(await crashed.run(inputs)).toMatchObject({
      failure: 'crash',
      detail: expect.stringContaining('SIGSEGV') as string,
    });

    const impatient = await createOnnxRuntime({ timeoutMs: 4000 }).openOnnxSession({ model });
    if (isFailure(impatient)) throw new Error(impatient.detail);
    process.kill(impatient.pid!, 'SIGSTOP');
    expect(await impatient.run(inputs)).toMatchObject({ failure: 'timeout' });
    expect(await impatient.run(inputs)).toMatchObject({ failure: 'timeout' });

    expect(await createOnnxRuntime({ rssBytes: 20e6 }).runOnnx({ model, inputs })).toMatchObject({ failure: 'memory' });

    const session = await open();
    const stop = new AbortController();
    process.kill(session.pid!, 'SIGSTOP');
    const run = session.run(inputs, stop.signal);
    stop.abort(new Error('enough'));
    await expect(run).rejects.toThrow('enough');

    expect(await runtime.runOnnx({ model, inputs })).toMatchObject({ outputs: [{ dims: [16, 3] }] });
  });

  it('starts under plain node with tsx from any folder, and its child sees no environment', () => {
    const script = `
      const { createOnnxRuntime } = await import(process.argv[1]);
      const { hostChild } = await import(process.argv[1].replace('onnxRuntime', 'childHost'));
      const model = Uint8Array.from(Buffer.from(process.argv[2], 'base64'));
      const { readFileSync } = await import('node:fs');
      const session = await createOnnxRuntime().openOnnxSession({ model });
      const environment = process.platform === 'linux' ? readFileSync('/proc/' + session.pid + '/environ', 'utf8') : '';
      console.log(JSON.stringify({ runtime: session.runtime, names: environment.split('\\0').map((e) => e.split('=')[0]).filter(Boolean) }));
      session.close();`;
    const tsx = new URL('../../node_modules/tsx/dist/loader.mjs', import.meta.url).href;
    const target = new URL('./onnxRuntime.ts', import.meta.url).href;
    const args = ['--import', tsx, '--input-type=module', '-e', script, target, Buffer.from(model).toString('base64')];
    const { stdout, stderr } = spawnSync(process.execPath, args, {
      cwd: tmpdir(),
      encoding: 'utf8',
      env: { EDGEML_SECRET: 'must not pass' },
    });
    expect(stderr).toBe('');
    const { runtime: name, names } = JSON.parse(stdout) as { runtime: string; names: string[] };
    expect(name).toMatch(/^onnxruntime-node/);
    expect(names.filter((n) => !n.startsWith('NODE_CHANNEL'))).toEqual([]);
    expect(fileURLToPath(target)).toMatch(/onnxRuntime\.ts$/);
  });
});
