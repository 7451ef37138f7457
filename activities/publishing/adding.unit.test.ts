/** The recipe "An artifact format" of docs/adding.md, with a format that is in no build. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { artifactFormats, type ArtifactFormat } from '../../domain/formats/artifactFormats.ts';
import { formatNames, formatsFor, graphFormats } from '../../domain/formats/fileFormats.ts';
import { f32Tensor, isRefusal, readSafetensors, writeSafetensors } from '../../domain/formats/safetensors/index.ts';
import type { ArtifactStore } from '../../store/artifacts/artifactStore.ts';
import { createFileStore } from '../../store/artifacts/fileStore.ts';
import { createOnnxRuntime } from '../runtimes/onnxRuntime.ts';
import { check, refusedBy } from './gate.ts';
import { gateFormats, type GateFormat } from './gateFormats.ts';
import { runPublication } from './work.ts';

const MAGIC = new TextEncoder().encode('fake');

/** The tensors behind four letters. */
const fake: ArtifactFormat = {
  name: 'fake',
  madeAs: 'four letters',
  mediaType: 'application/x-fake',
  build: (_architecture, tensors) => Buffer.concat([MAGIC, writeSafetensors(tensors)]),
  read: (bytes) => {
    const file = readSafetensors(bytes.slice(MAGIC.length));
    return isRefusal(file) ? file : file.tensors;
  },
};

const gateOf = (format: ArtifactFormat, passes = true): GateFormat => ({
  format,
  verify: async ({ blobs, fileSha }) => {
    const bytes = await blobs.bytes(fileSha);
    const begins = check(4, 'fake_begins', passes && Buffer.from(bytes).subarray(0, 4).equals(MAGIC), 'four letters');
    if (!begins.passed) return refusedBy([], begins);
    return { kind: 'verified', checks: [begins], runtime: 'none', seed: '0' };
  },
});

let folder: string;
let blobs: ArtifactStore;
let tensorsSha: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'adding-'));
  blobs = createFileStore(folder);
  const bytes = writeSafetensors([f32Tensor('fc1.weight', [1, 2], Float32Array.of(1, 2))]);
  tensorsSha = (await blobs.put(bytes, { max: bytes.length })).sha256;
});
afterAll(() => rm(folder, { recursive: true }));

const publish = (gate: readonly GateFormat[], formats: readonly string[] = []) =>
  runPublication({
    blobs,
    runtime: createOnnxRuntime(),
    tensorsSha,
    architecture: { kind: 'mlp:relu:linear', input_dim: 2, output_dim: 1 },
    formats,
    subject: { modelId: 'm', version: '1.0.0', n: 1 },
    gate,
  });

describe('a format that is passed to the gate', () => {
  it('is made, read back, tried and sealed beside safetensors', async () => {
    const result = await publish([gateOf(fake)]);
    expect(result).toMatchObject({
      kind: 'publishable',
      files: [{ format: 'safetensors' }, { format: 'fake', media_type: 'application/x-fake' }],
    });
    expect(result.checks.map(({ step, name }) => `${step} ${name}`)).toEqual([
      '1 formats',
      '1 tensors_digest',
      '2 finite',
      '3 safetensors_read_back',
      '3 graph',
      '3 fake_read_back',
      '4 fake_begins',
      '11 sealed',
    ]);
  });

  it('keeps the version from being published where it does not read back, or its trial fails', async () => {
    const forgetful: ArtifactFormat = { ...fake, read: () => [] };
    expect((await publish([gateOf(forgetful)])).checks.at(-1)).toMatchObject({ name: 'fake_read_back', passed: false });
    expect((await publish([gateOf(fake, false)])).checks.at(-1)).toMatchObject({ name: 'fake_begins', passed: false });
  });

  it('is known where it is in the table, and nowhere else', async () => {
    expect(await publish([gateOf(fake)], ['onnx'])).toMatchObject({ kind: 'refused', code: 'format_not_available' });
    expect(gateFormats.map(({ format }) => format)).toEqual(artifactFormats);
    expect(artifactFormats.map(({ name }) => name)).toEqual(graphFormats.map(({ name }) => name));
    expect(formatNames([fake])).toEqual(['fake', 'safetensors']);
    expect(formatsFor(true, [fake])).toEqual(['safetensors', 'fake']);
    expect(formatsFor(false, [fake])).toEqual(['safetensors']);
  });
});
