/** Loss and accuracy on held-out data, against sums made by hand. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Architecture } from '../../domain/events/model.ts';
import { f32Tensor, writeSafetensors, type Tensor } from '../../domain/formats/safetensors/index.ts';
import type { ArtifactStore } from '../../store/artifacts/artifactStore.ts';
import { createFileStore } from '../../store/artifacts/fileStore.ts';
import { createOnnxRuntime, type OnnxFailure, type OnnxRuntime } from '../runtimes/onnxRuntime.ts';
import { evaluate } from './evaluate.ts';
import { scoreOf } from './loss.ts';

const runtime = createOnnxRuntime();
let folder: string;
let blobs: ArtifactStore;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'evaluate-'));
  blobs = createFileStore(folder);
});
afterAll(() => rm(folder, { recursive: true }));

const keep = async (tensors: Tensor[]) => {
  const bytes = writeSafetensors(tensors);
  return (await blobs.put(bytes, { max: bytes.length })).sha256;
};
const classes = (...values: number[]): Tensor => {
  return {
    name: 'labels',
    dtype: 'I64',
    shape: [values.length],
    data: new Uint8Array(BigInt64Array.from(values.map(BigInt)).buffer),
  };
};
const input = (rows: number, columns: number, ...values: number[]) =>
  f32Tensor('input', [rows, columns], Float32Array.from(values));
const logistic: Architecture = { kind: 'mlp:relu:sigmoid', input_dim: 2, output_dim: 1 };
const softmax: Architecture = { kind: 'mlp:relu:softmax', input_dim: 2, output_dim: 3 };

/** The runtime, but its first sessions fail. */
function failing(failure: OnnxFailure['failure'], times: number) {
  let calls = 0;
  const openOnnxSession: OnnxRuntime['openOnnxSession'] = async (model) => {
    calls += 1;
    return calls <= times ? { failure, detail: 'made up' } : runtime.openOnnxSession(model);
  };
  return { runtime: { ...runtime, openOnnxSession }, calls: () => calls };
}

describe('evaluate', () => {
  it('is binary cross-entropy after a sigmoid', async () => {
    const modelSha = await keep([
      f32Tensor('weight', [1, 2], Float32Array.of(1, -2)),
      f32Tensor('bias', [1], Float32Array.of(0.5)),
    ]);
    const labels = f32Tensor('labels', [3], Float32Array.of(1, 0, 1));
    const setSha = await keep([input(3, 2, 1, 0, 0, 1, 0, 1), labels]);
    const z = [1.5, -1.5, -1.5];
    const loss = [1, 0, 1].reduce((s, y, i) => s + Math.log1p(Math.exp(y ? -z[i]! : z[i]!)), 0) / 3;
    const beats: number[] = [];
    const result = await evaluate({
      blobs,
      runtime,
      modelSha,
      architecture: logistic,
      setSha,
      beat: (n) => beats.push(n),
    });
    expect(result).toEqual({ n: 3, loss: expect.closeTo(loss, 6) as number, accuracy: 2 / 3, finite: true });
    expect(beats).toEqual([0]);
  });

  it('is cross-entropy over classes, the same for softmax in the graph and for raw outputs', async () => {
    const modelSha = await keep([f32Tensor('weight', [3, 2], Float32Array.of(1, 0, 0, 1, -1, -1))]);
    const setSha = await keep([input(2, 2, 1, 0, 0, 2), classes(0, 2)]);
    const losses = [Math.log(Math.E + 1 + 1 / Math.E) - 1, Math.log(1 + Math.E ** 2 + Math.E ** -2) + 2];
    const expected = {
      n: 2,
      loss: expect.closeTo((losses[0]! + losses[1]!) / 2, 5) as number,
      accuracy: 0.5,
      finite: true,
    };
    for (const kind of ['mlp:relu:softmax', 'mlp:relu:linear'])
      expect(await evaluate({ blobs, runtime, modelSha, architecture: { ...softmax, kind }, setSha })).toEqual(
        expected,
      );
  });

  it('runs more rows than one batch holds, and every row once', async () => {
    const wide: Architecture = { ...logistic, input_dim: 300_000 };
    const modelSha = await keep([f32Tensor('weight', [1, 300_000], new Float32Array(300_000).fill(1 / 300_000))]);
    const rows = Float32Array.from({ length: 5 * 300_000 }, (_, i) => (i < 900_000 ? 1 : -1));
    const setSha = await keep([
      f32Tensor('input', [5, 300_000], rows),
      f32Tensor('labels', [5], Float32Array.of(1, 1, 1, 0, 1)),
    ]);
    const beats: number[] = [];
    const result = await evaluate({ blobs, runtime, modelSha, architecture: wide, setSha, beat: (n) => beats.push(n) });
    expect(result).toMatchObject({ n: 5, accuracy: 0.8 });
    expect(beats).toEqual([0, 3]);
  });

  it('says when figures are not finite, without inventing them', async () => {
    const modelSha = await keep([f32Tensor('weight', [1, 2], Float32Array.of(3e38, 3e38))]);
    const setSha = await keep([input(1, 2, 1e9, -2e9), f32Tensor('labels', [1], Float32Array.of(1))]);
    const result = await evaluate({ blobs, runtime, modelSha, architecture: logistic, setSha });
    expect(result).toEqual({ n: 1, loss: null, accuracy: null, finite: false });
  });

  it('gives a sure error its price, where probabilities would say infinity', async () => {
    const modelSha = await keep([f32Tensor('weight', [1, 2], Float32Array.of(1, 0))]);
    const setSha = await keep([input(2, 2, -100, 0, 100, 0), f32Tensor('labels', [2], Float32Array.of(1, 0))]);
    const result = await evaluate({ blobs, runtime, modelSha, architecture: logistic, setSha });
    expect(result).toEqual({ n: 2, loss: 100, accuracy: 0, finite: true });
    expect(scoreOf(Float32Array.of(0, 0), Float64Array.of(0, 1), 1, 'binary')).toEqual({
      lossSum: 2 * Math.LN2,
      correct: 1,
    });
  });

  it('refuses labels out of range, and blobs that are gone', async () => {
    const modelSha = await keep([f32Tensor('weight', [3, 2], new Float32Array(6))]);
    const setSha = await keep([input(1, 2, 1, 0), classes(3)]);
    const work = { blobs, runtime, modelSha, architecture: softmax, setSha };
    await expect(evaluate(work)).rejects.toMatchObject({ code: 'invalid_input' });
    await expect(evaluate({ ...work, setSha: '0'.repeat(64) })).rejects.toMatchObject({ code: 'blob_unknown' });
  });

  it('tries a runtime that fails once more, and says for good that the model cannot run', async () => {
    const modelSha = await keep([f32Tensor('weight', [1, 2], new Float32Array(2))]);
    const setSha = await keep([input(1, 2, 1, 0), f32Tensor('labels', [1], Float32Array.of(1))]);
    const work = { blobs, modelSha, architecture: logistic, setSha };
    for (const failure of ['refused', 'memory', 'timeout', 'crash'] as const) {
      const opening = failing(failure, 2);
      const ended = {
        code: 'model_not_runnable',
        row: { retryable: false },
        message: expect.stringContaining(failure) as string,
      };
      await expect(evaluate({ ...work, runtime: opening.runtime })).rejects.toMatchObject(ended);
      expect(opening.calls()).toBe(2);
      expect(await evaluate({ ...work, runtime: failing(failure, 1).runtime })).toMatchObject({ n: 1 });
    }
    // A real one, over its memory.
    const small = createOnnxRuntime({ rssBytes: 1 });
    await expect(evaluate({ ...work, runtime: small })).rejects.toMatchObject({ code: 'model_not_runnable' });
  });

  it('waits for a runtime that does not load, whatever the model', async () => {
    const modelSha = await keep([f32Tensor('weight', [1, 2], new Float32Array(2))]);
    const setSha = await keep([input(1, 2, 1, 0), f32Tensor('labels', [1], Float32Array.of(1))]);
    const { runtime: absent, calls } = failing('unavailable', 2);
    await expect(evaluate({ blobs, modelSha, architecture: logistic, setSha, runtime: absent })).rejects.toMatchObject({
      code: 'conversion_unavailable',
      row: { retryable: true },
    });
    expect(calls()).toBe(1);
  });
});
