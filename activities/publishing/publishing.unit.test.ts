/** Publishing as one activity: real conversion, real ONNX Runtime, and every way a file may be wrong. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Value } from 'typebox/value';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Architecture } from '../../domain/events/model.ts';
import { versionFacts } from '../../domain/events/version.ts';
import { buildMlp } from '../../domain/formats/onnx/index.ts';
import {
  f32Tensor,
  isRefusal,
  writeSafetensors,
  type Metadata,
  type Tensor,
} from '../../domain/formats/safetensors/index.ts';
import { sha256Hex } from '../../domain/hash/sha256.ts';
import type { ArtifactStore } from '../../store/artifacts/artifactStore.ts';
import { createFileStore } from '../../store/artifacts/fileStore.ts';
import { createOnnxRuntime, type OnnxFailure, type OnnxRuntime } from '../runtimes/onnxRuntime.ts';
import { buildBase, runPublication, seal, verifyOnnx, type VersionToPublish } from './work.ts';

const runtime = createOnnxRuntime();
let folder: string;
let blobs: ArtifactStore;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'publishing-'));
  blobs = createFileStore(folder);
});
afterAll(() => rm(folder, { recursive: true }));

const put = async (bytes: Uint8Array) => (await blobs.put(bytes, { max: bytes.length })).sha256;
const keep = (tensors: Tensor[], metadata: Metadata = {}) => put(writeSafetensors(tensors, metadata));
const pathOf = (sha: string) => join(folder, 'sha256', sha.slice(0, 2), sha);
const tensor = (name: string, shape: number[], f: (i: number) => number) =>
  f32Tensor(
    name,
    shape,
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => f(i)),
  );

const mlp: Architecture = { kind: 'mlp:relu:softmax', input_dim: 8, hidden_dim: 6, output_dim: 3 };
const weights = (scale = 1) => [
  tensor('fc1.weight', [6, 8], (i) => scale * Math.sin(i)),
  tensor('fc1.bias', [6], (i) => i / 10),
  tensor('fc2.weight', [3, 6], (i) => scale * Math.cos(5 * i)),
];
const subject = { modelId: 'm', version: '1.1.0', n: 1 };
const work = (tensorsSha: string, over: Partial<VersionToPublish> = {}): VersionToPublish => {
  return { blobs, runtime, tensorsSha, architecture: mlp, formats: [], subject, ...over };
};
const dead = (failure: OnnxFailure['failure'], calls: string[] = []): OnnxRuntime => {
  const answer = async () => {
    calls.push(failure);
    return { failure, detail: 'made up' };
  };
  return { openOnnxSession: answer, runOnnx: answer };
};

describe('publishVersion', () => {
  it('builds, verifies and seals: the data of VersionPublished, twice the same files', async () => {
    const steps: Tensor = { name: 'steps', dtype: 'I64', shape: [], data: new Uint8Array(8) };
    const tensorsSha = await keep([...weights(), steps], { made: 'by hand' });
    const beats: number[] = [];
    const first = await runPublication(work(tensorsSha, { beat: (n) => beats.push(n) }));
    if (first.kind === 'refused') throw new Error(JSON.stringify(first));
    expect(first.files.map((f) => f.format)).toEqual(['safetensors', 'onnx']);
    expect(first.tensorsSha).toBe(sha256Hex(writeSafetensors([...weights(), steps])));
    expect(first.checks.map((c) => [c.step, c.name, c.passed])).toEqual([
      [1, 'formats', true],
      [1, 'tensors_digest', true],
      [2, 'finite', true],
      [3, 'safetensors_read_back', true],
      [3, 'graph', true],
      [3, 'onnx_read_back', true],
      [4, 'onnx_runs_optimised', true],
      [4, 'output_varies', true],
      [4, 'onnx_runs', true],
      [4, 'logits', true],
      [11, 'sealed', true],
    ]);
    expect(beats).toEqual([6, 10]);
    const fact = { n: 1, files: first.files, tensors_sha: first.tensorsSha, report_sha: first.reportSha };
    expect(Value.Errors(versionFacts.VersionPublished.schema, fact)).toEqual([]);
    const report: unknown = JSON.parse(new TextDecoder().decode(await blobs.bytes(first.reportSha)));
    expect(report).toMatchObject({
      checks: first.checks,
      made_with: { onnx_runtime: expect.stringMatching(/^onnxruntime-node/) as string },
    });
    expect(await runPublication(work(tensorsSha))).toEqual(first);
  });

  it('publishes confident sigmoids, whose far ends the runtime rounds to 0 and 1', async () => {
    const logistic: Architecture = { kind: 'mlp:relu:sigmoid', input_dim: 4096, output_dim: 1 };
    const tensorsSha = await keep([
      tensor('weight', [1, 4096], (i) => Math.sin(i * i) - 0.3),
      tensor('bias', [1], () => -3),
    ]);
    const result = await runPublication(work(tensorsSha, { architecture: logistic }));
    expect(result).toMatchObject({ kind: 'publishable' });
  });

  it('publishes a keyboard of 10,000 words, whose outputs are more than a call takes as arguments', async () => {
    const keyboard: Architecture = { kind: 'mlp:relu:softmax', input_dim: 16, hidden_dim: 8, output_dim: 10_000 };
    const tensorsSha = await keep([
      tensor('fc1.weight', [8, 16], (i) => Math.sin(i)),
      tensor('fc2.weight', [10_000, 8], (i) => Math.cos(i * i)),
    ]);
    const result = await runPublication(work(tensorsSha, { architecture: keyboard }));
    expect(result).toMatchObject({ kind: 'publishable' });
    expect(result.checks.find((c) => c.name === 'output_varies')?.detail).toMatch(/^outputs from \S*\d to \S*\d over/);
  });

  it('publishes weights alone where there is no graph, and says what onnx needs', async () => {
    const tensorsSha = await keep([tensor('anything', [2, 2, 2], (i) => i)]);
    const result = await runPublication(work(tensorsSha, { architecture: null }));
    expect(result).toMatchObject({ kind: 'publishable', files: [{ format: 'safetensors', sha256: tensorsSha }] });
    expect(await runPublication(work(tensorsSha, { architecture: null, formats: ['onnx'] }))).toMatchObject({
      code: 'graph_required',
    });
    expect(await runPublication(work(tensorsSha, { formats: ['tflite'] }))).toMatchObject({
      code: 'format_not_available',
    });
  });

  it('refuses what must not reach a device, with data that PublishRefused accepts', async () => {
    const cases: [Tensor[], string, string][] = [
      [[...weights().slice(0, 2), tensor('fc2.weight', [3, 6], (i) => (i === 4 ? NaN : i))], 'gate_failed', 'finite'],
      [[...weights(), tensor('scale', [2], () => 1)], 'architecture_mismatch', 'graph'],
      [weights().map((t) => tensor(t.name, [...t.shape], () => 0)), 'gate_failed', 'output_varies'],
      [weights(1e30), 'gate_failed', 'onnx_runs_optimised'],
    ];
    for (const [tensors, code, name] of cases) {
      const result = await runPublication(work(await keep(tensors)));
      if (result.kind !== 'refused') throw new Error(`${name} passed`);
      expect([result.code, result.checks.at(-1)?.name, result.checks.at(-1)?.passed]).toEqual([code, name, false]);
      expect(result.checks.slice(0, -1).every((c) => c.passed)).toBe(true);
      const fact = { n: 1, code: result.code, checks: result.checks };
      expect(Value.Errors(versionFacts.PublishRefused.schema, fact)).toEqual([]);
    }
    const text = await put(new TextEncoder().encode('no safetensors, but stored'));
    expect(await runPublication(work(text))).toMatchObject({ code: 'malformed_container' });
  });
});

describe('the gate', () => {
  it('catches a weight that is off by one ulp or swapped, which golden inputs may miss', async () => {
    const tensorsSha = await keep(weights());
    const nudged = weights();
    nudged[2]!.data[40]! ^= 1;
    const [a, b] = [buildMlp(mlp, weights()), buildMlp(mlp, nudged)];
    if (isRefusal(a) || isRefusal(b)) throw new Error('does not fit');
    expect(await buildBase({ blobs, tensorsSha, architecture: mlp, formats: [] })).toMatchObject({ kind: 'built' });
    // A store that gives back other bytes than it took: read-back names the tensor.
    const liar: ArtifactStore = { ...blobs, bytes: async (sha) => (sha === sha256Hex(a) ? b : blobs.bytes(sha)) };
    const result = await buildBase({ blobs: liar, tensorsSha, architecture: mlp, formats: [] });
    expect(result).toMatchObject({ kind: 'refused', code: 'gate_failed' });
    expect(result.checks.at(-1)).toMatchObject({ step: 3, name: 'onnx_read_back', detail: 'differs: fc2.weight' });
  });

  it('catches every wrong graph that has the right weights', async () => {
    const tensorsSha = await keep(weights());
    const others: Architecture[] = [
      { ...mlp, kind: 'mlp:tanh:softmax' },
      { ...mlp, kind: 'mlp:sigmoid:softmax' },
      { ...mlp, kind: 'mlp:relu:sigmoid' },
      { ...mlp, kind: 'mlp:relu:linear' },
    ];
    for (const other of others) {
      const model = buildMlp(other, weights());
      if (isRefusal(model)) throw new Error(model.detail);
      const verify = { blobs, runtime, onnxSha: await put(model), tensorsSha, architecture: mlp, version: '1.0.0' };
      expect(await verifyOnnx(verify)).toMatchObject({ kind: 'refused', code: 'gate_failed' });
    }
  });

  it('tries a dead runtime once more, fails the check then, and retries later where there is no runtime at all', async () => {
    const tensorsSha = await keep(weights());
    const calls: string[] = [];
    const result = await runPublication(work(tensorsSha, { runtime: dead('timeout', calls) }));
    expect(result).toMatchObject({ kind: 'refused', code: 'gate_failed' });
    expect(result.checks.at(-1)).toMatchObject({ step: 4, detail: 'timeout: made up' });
    expect(calls).toHaveLength(2);
    await expect(runPublication(work(tensorsSha, { runtime: dead('unavailable') }))).rejects.toMatchObject({
      code: 'conversion_unavailable',
    });
  });

  it('sees bytes that changed on disk, before and after they were built', async () => {
    const tensorsSha = await keep(weights(2));
    const built = await buildBase({ blobs, tensorsSha, architecture: mlp, formats: [] });
    if (built.kind === 'refused') throw new Error('refused');
    const onnx = built.files[1]!;
    const bytes = Uint8Array.from(await blobs.bytes(onnx.sha256));
    bytes[50]! ^= 1;
    await writeFile(pathOf(onnx.sha256), bytes);
    const sealing = { blobs, subject, files: built.files, tensorsSha, checks: built.checks, onnx: null };
    const result = await seal(sealing);
    expect(result).toMatchObject({ kind: 'refused', code: 'gate_failed' });
    expect(result.checks.at(-1)).toMatchObject({ step: 11, passed: false });
    await blobs.remove(onnx.sha256);
    expect(await seal(sealing)).toMatchObject({ kind: 'refused' });
    await writeFile(pathOf(tensorsSha), bytes);
    expect(await buildBase({ blobs, tensorsSha, architecture: mlp, formats: [] })).toMatchObject({
      code: 'checksum_mismatch',
    });
    await expect(runPublication(work('0'.repeat(64)))).rejects.toMatchObject({ code: 'blob_unknown' });
  });
});
