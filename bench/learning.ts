/**
 * Aggregation of a round, hashing included, beside a plain copy of the same files in the same run. Every answer is held against
 * sums in whole numbers. `--full` for the long preset. Exits 1 if an answer is wrong.
 */
import { createHash, randomUUID } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { aggregateUpdates } from '../activities/training/work.ts';
import {
  encodeUpdate,
  f32Tensor,
  f32Values,
  isRefusal,
  readSafetensors,
  writeSafetensors,
} from '../domain/formats/safetensors/index.ts';
import { acceptedRoot, squares, type ManifestUpdate } from '../domain/learning/index.ts';
import type { ArtifactStore } from '../store/artifacts/artifactStore.ts';
import { createFileStore } from '../store/artifacts/fileStore.ts';
import { check, printConditions, printResult, quantile } from './support/report.ts';

const spec = { server_optimizer: { name: 'sgd', lr: 1 } } as const;
const MIB = 2 ** 20;
const isFull = process.argv.includes('--full');
const hash = (bytes: Uint8Array) => new Uint8Array(createHash('sha256').update(bytes).digest());

/** Deltas in (-1, 1), cheap and different for each update. */
function deltas(parameters: number, seed: number): Float32Array {
  const values = new Float32Array(parameters);
  let state = seed * 2_654_435_761 + 1;
  for (let i = 0; i < parameters; i += 1) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    values[i] = state / 2 ** 31 - 1;
  }
  return values;
}

const tensorsOf = (values: Float32Array) => [f32Tensor('w', [values.length], values)];

interface Round {
  readonly blobs: ArtifactStore;
  readonly folder: string;
  readonly baseSha: string;
  readonly updates: readonly ManifestUpdate[];
  readonly bytes: number;
}

async function prepare(folder: string, count: number, parameters: number): Promise<Round> {
  const blobs = createFileStore(folder);
  const put = async (bytes: Uint8Array) => (await blobs.put(bytes, { max: bytes.length })).sha256;
  const baseSha = await put(writeSafetensors(tensorsOf(deltas(parameters, 0))));
  const updates: ManifestUpdate[] = [];
  for (let i = 1; i <= count; i += 1) {
    const values = deltas(parameters, i);
    const { sum, maxAbs } = squares(values);
    const samples = 100 + i;
    const file = encodeUpdate({
      base: baseSha,
      round: 'bench.1.1',
      task: `${i}`,
      samples,
      metrics: {},
      deltas: tensorsOf(values),
    });
    const updateSha = await put(file);
    const pseudonymHex = i.toString(16).padStart(32, '0');
    updates.push({
      updateSha,
      pseudonymHex,
      weight: samples,
      norm: Math.sqrt(sum),
      maxAbs,
      bytes: file.length,
      samples,
      metrics: null,
    });
  }
  return { blobs, folder, baseSha, updates, bytes: updates.reduce((n, u) => n + u.bytes, 0) };
}

/** What any implementation must do at least: read every update and put its bytes somewhere. */
async function plainCopy({ folder, updates }: Round): Promise<number> {
  const started = performance.now();
  for (const { updateSha } of updates) {
    const target = join(folder, randomUUID());
    await pipeline(
      createReadStream(join(folder, 'sha256', updateSha.slice(0, 2), updateSha)),
      createWriteStream(target),
    );
    await rm(target);
  }
  return performance.now() - started;
}

/** The largest resident set over a piece of work, above what there was before it. */
async function growthOf<T>(work: () => Promise<T>): Promise<{ result: T; ms: number; growth: number }> {
  const before = process.memoryUsage.rss();
  let most = before;
  const timer = setInterval(() => (most = Math.max(most, process.memoryUsage.rss())), 10);
  const started = performance.now();
  try {
    const result = await work();
    return { result, ms: performance.now() - started, growth: Math.max(most, process.memoryUsage.rss()) - before };
  } finally {
    clearInterval(timer);
  }
}

/** Nearest whole number, ties to even. */
function nearest(x: number): number {
  const down = Math.floor(x);
  const rest = x - down;
  return rest === 0.5 ? down + (down % 2 === 0 ? 0 : 1) : Math.round(x);
}

/** @throws Error where a sampled parameter is not what whole-number arithmetic gives */
async function verify(round: Round, modelSha: string, q: number, parameters: number): Promise<number> {
  const file = readSafetensors(await round.blobs.bytes(modelSha));
  if (isRefusal(file)) throw new Error(file.detail);
  const found = f32Values(file.tensors[0]!);
  const base = deltas(parameters, 0);
  const stride = Math.max(1, Math.floor(parameters / 1000));
  const sampled = Array.from({ length: Math.ceil(parameters / stride) }, (_, i) => i * stride);
  const sums = sampled.map(() => 0n);
  for (const [u, { weight }] of round.updates.entries()) {
    const values = deltas(parameters, u + 1);
    sampled.forEach((at, i) => (sums[i]! += BigInt(nearest(weight * values[at]! * 2 ** q))));
  }
  const weights = round.updates.reduce((n, u) => n + u.weight, 0);
  sampled.forEach((at, i) => {
    const wanted = Math.fround(base[at]! + Number(sums[i]) / 2 ** q / weights);
    check(found[at] === wanted, `parameter ${at} is ${found[at]}, whole numbers give ${wanted}`);
  });
  return sampled.length;
}

async function measure(count: number, parameters: number, runs: number): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'bench-learning-'));
  try {
    const round = await prepare(folder, count, parameters);
    const { root } = acceptedRoot(round.updates, hash);
    const copies: number[] = [];
    const ours: number[] = [];
    let growth = 0;
    let answer = '';
    let checked = 0;
    for (let i = 0; i < runs; i += 1) {
      copies.push(await plainCopy(round));
      const one = await growthOf(() => aggregateUpdates({ ...round, spec, acceptedRoot: root }));
      if (isRefusal(one.result)) throw new Error(one.result.detail);
      ours.push(one.ms);
      growth = Math.max(growth, one.growth);
      check(answer === '' || answer === one.result.modelSha, 'two runs gave different models');
      answer = one.result.modelSha;
      if (i === 0) checked = await verify(round, answer, one.result.grid.q, parameters);
    }
    const name = `${count} updates × ${parameters.toLocaleString('en')} parameters`;
    const [copyMs, oursMs] = [quantile(copies, 0.5), quantile(ours, 0.5)];
    const rate = (ms: number) => `${(round.bytes / MIB / (ms / 1000)).toFixed(0)} MiB/s`;
    const ratio = copyMs / oursMs;
    const speed = `${rate(oursMs)} of updates, copy ${rate(copyMs)}, ratio ${ratio.toFixed(2)}`;
    console.log(`${name.padEnd(38)} ${speed}`);
    const allowed = 8 * parameters + 64 * MIB;
    const memory = `RSS +${(growth / MIB).toFixed(0)} MiB, ${checked} parameters right`;
    printResult('', memory, `<= ${(allowed / MIB).toFixed(0)} MiB`, growth <= allowed);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

printConditions({ threads: '1', files: 'in the temporary folder, copies without fsync' });
if (isFull) {
  await measure(20, 10_000_000, 3);
  for (const count of [10, 100, 1000]) await measure(count, 200_000, 3);
} else {
  await measure(20, 1_000_000, 3);
}
console.log('against NumPy: not measured');
