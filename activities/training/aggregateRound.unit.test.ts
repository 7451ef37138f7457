/** The aggregate of a round, bit for bit, whatever the order of its updates. */
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  encodeUpdate,
  f32Tensor,
  f32Values,
  isRefusal,
  readSafetensors,
  writeSafetensors,
  type Tensor,
} from '../../domain/formats/safetensors/index.ts';
import { sha256Hex } from '../../domain/hash/sha256.ts';
import { acceptedRoot, squares, type ManifestUpdate } from '../../domain/learning/index.ts';
import type { ArtifactStore } from '../../store/artifacts/artifactStore.ts';
import { createFileStore } from '../../store/artifacts/fileStore.ts';
import { aggregateUpdates } from './aggregateRound.ts';

const spec = { server_optimizer: { name: 'sgd', lr: 1 } } as const;
let folder: string;
let blobs: ArtifactStore;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'aggregate-'));
  blobs = createFileStore(folder);
});
afterAll(() => rm(folder, { recursive: true }));

const keep = async (bytes: Uint8Array) => (await blobs.put(bytes, { max: bytes.length })).sha256;
const model = (v: readonly number[]) => [
  f32Tensor('b', [2], Float32Array.from(v.slice(0, 2))),
  f32Tensor('w', [2, 2], Float32Array.from(v.slice(2))),
];

/** Stores an update and gives the row that the gate would have written. */
async function accept(
  i: number,
  baseSha: string,
  deltas: readonly Tensor[],
  samples: number,
  metrics = {},
): Promise<ManifestUpdate> {
  const round = '00000000-0000-7000-8000-0000000000aa.1.1';
  const task = `00000000-0000-7000-8000-0000000000${String(i).padStart(2, '0')}`;
  const bytes = encodeUpdate({ base: baseSha, round, task, samples, metrics, deltas });
  const parts = deltas.map((t) => squares(f32Values(t)));
  return {
    updateSha: await keep(bytes),
    pseudonymHex: i.toString(16).padStart(2, '0').repeat(16),
    weight: samples,
    norm: Math.sqrt(parts.reduce((s, p) => s + p.sum, 0)),
    maxAbs: Math.max(...parts.map((p) => p.maxAbs)),
    bytes: bytes.length,
    samples,
    metrics: Object.keys(metrics).length ? { n: 0, loss_sum: null, correct: null, ...metrics } : null,
  };
}

async function goldenRound() {
  const baseSha = await keep(writeSafetensors(model([0.5, -1.25, 0, 3, 0.001, 0.1])));
  const deltas = [
    [0.1, -0.2, 0, 1e-7, -3e-10, 2 ** -29],
    [0.3, 0.7, -0, -1e-7, 5e-10, 3 * 2 ** -29],
    [-0.05, 1 / 3, 1e-45, 2.5, 1e-8, -5 * 2 ** -29],
  ];
  const updates: ManifestUpdate[] = [];
  for (const [i, d] of deltas.entries()) updates.push(await accept(i + 1, baseSha, model(d), [600, 250, 1][i]!));
  return { blobs, baseSha, updates, spec, acceptedRoot: acceptedRoot(updates).root };
}

describe('aggregateRound', () => {
  it('computes the values of docs/design/learning.md "Golden round", in any order', async () => {
    const round = await goldenRound();
    expect(round.acceptedRoot).toBe('5d1725556a15b741a7ad1c1a21e9b88688410f9487e4e61511c0e94fdb7d42aa');
    for (const order of [
      [0, 1, 2],
      [2, 1, 0],
      [1, 2, 0],
    ]) {
      const beats: number[] = [];
      const updates = order.map((i) => round.updates[i]!);
      const result = await aggregateUpdates({ ...round, updates, beat: (n) => beats.push(n) });
      if (isRefusal(result)) throw new Error(result.detail);
      expect(result).toMatchObject({
        modelSha: '91b95676430dec8b30088e2a455aaf9a785135a914e02f0c90faba310b239d3b',
        modelBytes: 144,
        grid: { k: 2, L: 256, q: 40 },
        samples: 851,
        metrics: { loss: null, accuracy: null, n: 0 },
      });
      expect(beats).toEqual([0]);
      const file = readSafetensors(await blobs.bytes(result.modelSha));
      if (isRefusal(file)) throw new Error(file.detail);
      const words = file.tensors.flatMap((t) =>
        [...new Uint32Array(new Uint8Array(t.data).buffer)].map((x) => x.toString(16).padStart(8, '0')),
      );
      expect(words).toEqual(['3f289894', 'bf97ad60', '00000000', '40403022', '3a83126f', '3dcccccd']);
      const manifest: unknown = JSON.parse(new TextDecoder().decode(await blobs.bytes(result.manifestSha)));
      expect(manifest).toMatchObject({ v: 1, base_sha: round.baseSha, accepted_root: round.acceptedRoot });
      expect(result.updateNorm).toBeCloseTo(Math.hypot(134.95, 55.334, 2.5) / 851, 5);
    }
  });

  it('keeps integers, moves buffers by the plain mean, and drops the base’s metadata', async () => {
    const steps: Tensor = { name: 'steps', dtype: 'I64', shape: [], data: Uint8Array.of(9, 0, 0, 0, 0, 0, 0, 0) };
    const mask: Tensor = { name: 'mask', dtype: 'BOOL', shape: [3], data: Uint8Array.of(1, 0, 1) };
    const floats = (w: number, mean: number) => [
      f32Tensor('running_mean', [1], Float32Array.of(mean)),
      f32Tensor('w', [1], Float32Array.of(w)),
    ];
    const baseSha = await keep(writeSafetensors([steps, mask, ...floats(1, 2)], { made: 'by hand' }));
    const updates = [
      await accept(1, baseSha, floats(2, 4), 10, { n: 10, correct: 5 }),
      await accept(2, baseSha, floats(4, 8), 30, { n: 30, correct: 30 }),
    ];
    const half = { server_optimizer: { name: 'sgd', lr: 0.5 } } as const;
    const result = await aggregateUpdates({
      blobs,
      baseSha,
      updates,
      spec: half,
      acceptedRoot: acceptedRoot(updates).root,
    });
    if (isRefusal(result)) throw new Error(result.detail);
    expect(result.modelSha).toBe(sha256Hex(writeSafetensors([steps, mask, ...floats(1 + 3.5 / 2, 2 + 7)])));
    expect(result).toMatchObject({ samples: 40, updateNorm: 3.5, metrics: { accuracy: 35 / 40, loss: null, n: 40 } });
  });

  it('spans blocks and groups: 11 updates of 10,000 parameters equal the sum in whole numbers', async () => {
    const n = 10_001;
    const tensor = (f: (i: number) => number) => [
      f32Tensor(
        'w',
        [n],
        Float32Array.from({ length: n }, (_, i) => f(i)),
      ),
    ];
    const baseSha = await keep(writeSafetensors(tensor((i) => i)));
    const updates: ManifestUpdate[] = [];
    for (let u = 1; u <= 11; u += 1)
      updates.push(
        await accept(
          u,
          baseSha,
          tensor((i) => ((i * u) % 7) - 3),
          u,
        ),
      );
    const result = await aggregateUpdates({ blobs, baseSha, updates, spec, acceptedRoot: acceptedRoot(updates).root });
    if (isRefusal(result)) throw new Error(result.detail);
    const mean = (i: number) => updates.reduce((s, u) => s + u.weight * (((i * u.weight) % 7) - 3), 0) / 66;
    expect(result.modelSha).toBe(sha256Hex(writeSafetensors(tensor((i) => i + mean(i)))));
  });

  it('abandons a round whose rows or bytes are not those that were accepted', async () => {
    const round = await goldenRound();
    const rows = [{ ...round.updates[0]!, weight: 601 }, ...round.updates.slice(1)];
    expect(await aggregateUpdates({ ...round, updates: rows })).toMatchObject({ code: 'checksum_mismatch' });
    const { updateSha } = round.updates[1]!;
    const bytes = Uint8Array.from(await blobs.bytes(updateSha));
    bytes[bytes.length - 1]! ^= 1;
    const path = join(folder, 'sha256', updateSha.slice(0, 2), updateSha);
    await writeFile(path, bytes);
    const result = await aggregateUpdates(round);
    expect(result).toMatchObject({
      code: 'checksum_mismatch',
      detail: expect.stringContaining(updateSha) as string,
    });
    await writeFile(path, bytes.subarray(0, 300));
    expect(await aggregateUpdates(round)).toMatchObject({ code: 'checksum_mismatch' });
  });

  it('stores nothing for a step that leaves the float range, or that is cancelled', async () => {
    const most = 3.4e38;
    const tensors = (v: number) => [f32Tensor('w', [1], Float32Array.of(v))];
    const baseSha = await keep(writeSafetensors(tensors(most)));
    const updates = [await accept(1, baseSha, tensors(1000), 1)];
    const loud = { server_optimizer: { name: 'sgd', lr: 1e36 } } as const;
    const round = { blobs, baseSha, updates, spec: loud, acceptedRoot: acceptedRoot(updates).root };
    const before = (await readdir(folder, { recursive: true })).length;
    expect(await aggregateUpdates(round)).toMatchObject({ code: 'non_finite' });
    await expect(aggregateUpdates({ ...round, signal: AbortSignal.abort() })).rejects.toThrow(/abort/i);
    expect((await readdir(folder, { recursive: true })).length).toBe(before);
  });

  it('asks for blobs that are gone', async () => {
    const round = await goldenRound();
    await expect(aggregateUpdates({ ...round, baseSha: '0'.repeat(64) })).rejects.toMatchObject({
      code: 'blob_unknown',
    });
  });
});
