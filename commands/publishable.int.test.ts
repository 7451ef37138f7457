/** What the worker would refuse later is refused at the request, with the member that names it. On a real log and real blobs. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Architecture } from '../domain/events/model.ts';
import { f32Tensor, writeSafetensors } from '../domain/formats/safetensors/index.ts';
import {
  facts,
  GRAPH,
  newModel,
  openCommands,
  person,
  store,
  weights,
  type Commands,
} from '../test/support/commands.ts';
import { requestPublish } from './requestPublish.ts';
import { requestTraining } from './requestTraining.ts';
import { uploadArtifact } from './uploadArtifact.ts';

let c: Commands;
beforeAll(async () => {
  c = await openCommands();
});
afterAll(() => c.close());

const text = (words: string) => new TextEncoder().encode(words);
/** A file by its header alone; no data follow. */
function headerOnly(header: string): Uint8Array {
  const body = text(header.padEnd(Math.ceil(header.length / 8) * 8));
  const file = new Uint8Array(8 + body.length);
  new DataView(file.buffer).setBigUint64(0, BigInt(body.length), true);
  file.set(body, 8);
  return file;
}
const LYING = headerOnly('{"w":{"dtype":"F32","shape":[4294967296,4294967296,0],"data_offsets":[0,0]}}');
const EMPTY = headerOnly('{}');
const OTHER_WIDTH = writeSafetensors([f32Tensor('weight', [2, 3], new Float32Array(6))]);
const HALF = writeSafetensors([{ name: 'weight', dtype: 'F16', shape: [2, 2], data: new Uint8Array(8) }]);

async function attach(bytes: Uint8Array, architecture: Architecture | undefined, format = 'safetensors') {
  const modelId = await newModel(c.deps, architecture);
  const file = { format, sha256: await store(c.deps, bytes), bytes: bytes.length, media_type: 'x/y' };
  const spare = weights(7);
  const good = { format: 'spare', sha256: await store(c.deps, spare), bytes: spare.length, media_type: 'x/y' };
  const outcome = await uploadArtifact(c.deps, person(), { modelId, version: '1.0.0', files: [good, file] });
  return { modelId, outcome };
}

const at = (code: string, pointer: string) => ({ code, evidence: { errors: [{ pointer }] } });

describe('files of a version', () => {
  it.each<[string, Uint8Array, Architecture | undefined, string]>([
    ['a shape whose product overflows beside a 0', LYING, undefined, 'malformed_container'],
    ['a file without tensors', EMPTY, undefined, 'malformed_container'],
    ['text', text('these are no weights at all'), undefined, 'malformed_container'],
    ['a file that was cut', weights().subarray(0, -4), undefined, 'malformed_container'],
    ['weights of another width', OTHER_WIDTH, GRAPH, 'architecture_mismatch'],
    ['weights that no graph takes', HALF, GRAPH, 'architecture_mismatch'],
  ])('refuse %s', async (_, bytes, architecture, code) => {
    await expect(attach(bytes, architecture)).rejects.toMatchObject(at(code, '/files/1/sha256'));
  });

  it('refuse a file without a byte, and take what fits', async () => {
    await expect(attach(new Uint8Array(0), undefined, 'tflite')).rejects.toMatchObject(
      at('invalid_input', '/files/1/sha256'),
    );
    expect(facts((await attach(weights(), GRAPH)).outcome)).toEqual(['VersionDrafted', 'ArtifactUploaded']);
    expect(facts((await attach(HALF, undefined)).outcome)).toEqual(['VersionDrafted', 'ArtifactUploaded']);
  });
});

describe('a publication', () => {
  it('is refused where onnx is asked for and there is no graph', async () => {
    const { modelId } = await attach(weights(), undefined);
    const asked = requestPublish(c.deps, person(), { modelId, version: '1.0.0', formats: ['onnx'] });
    await expect(asked).rejects.toMatchObject(at('graph_required', '/formats'));
  });

  it('is refused where the bytes are gone', async () => {
    const { modelId } = await attach(weights(), GRAPH);
    const gone = await store(c.deps, weights());
    await c.deps.blobs.remove(gone);
    await expect(requestPublish(c.deps, person(), { modelId, version: '1.0.0' })).rejects.toMatchObject(
      at('blob_unknown', '/formats'),
    );
  });
});

describe('a training run', () => {
  const ask = (modelId: string, request: object) =>
    requestTraining(c.deps, person(), { modelId, request: { new_version: '1.0.0', ...request }, source: 'own' });

  it.each<[string, Uint8Array, Architecture | undefined, string]>([
    ['a shape whose product overflows beside a 0', LYING, undefined, 'malformed_container'],
    ['a file without tensors', EMPTY, undefined, 'malformed_container'],
    ['text', text('these are no weights at all'), undefined, 'malformed_container'],
    ['half floats', HALF, undefined, 'dtype_mismatch'],
    ['weights of another width', OTHER_WIDTH, GRAPH, 'architecture_mismatch'],
  ])('refuses to begin with %s', async (_, bytes, architecture, code) => {
    const init = await store(c.deps, bytes);
    await expect(ask(await newModel(c.deps, architecture), { init_artifact: init })).rejects.toMatchObject(
      at(code, '/init_artifact'),
    );
  });

  const held = (label: bigint, columns = 2) =>
    writeSafetensors([
      f32Tensor('input', [1, columns], new Float32Array(columns)),
      { name: 'labels', dtype: 'I64', shape: [1], data: new Uint8Array(BigInt64Array.of(label).buffer) },
    ]);
  it.each<[string, Uint8Array, string]>([
    ['a class that the model has not', held(2n), 'invalid_input'],
    ['a class below 0', held(-1n), 'invalid_input'],
    ['another width', held(1n, 3), 'shape_mismatch'],
    ['a shape whose product overflows beside a 0', LYING, 'malformed_container'],
    ['no tensors', EMPTY, 'malformed_container'],
  ])('refuses to be evaluated on %s', async (_, bytes, code) => {
    const [init, set] = [await store(c.deps, weights()), await store(c.deps, bytes)];
    await expect(
      ask(await newModel(c.deps, GRAPH), { init_artifact: init, evaluation: { set } }),
    ).rejects.toMatchObject(at(code, '/evaluation/set'));
  });
});
