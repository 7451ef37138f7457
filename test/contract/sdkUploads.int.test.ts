/** C08 as Python's httpx sends it: told by its bytes, read in a child, and one effect however often it comes. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildMlp } from '../../domain/formats/onnx/index.ts';
import { readTorch } from '../../domain/formats/pytorch/index.ts';
import { f32Tensor, isRefusal, readSafetensors, writeSafetensors } from '../../domain/formats/safetensors/index.ts';
import { OWN, openTestApi, SDK, textOf, type Answer, type TestApi } from './testApi.ts';

let t: TestApi;
beforeAll(async () => {
  t = await openTestApi();
});
afterAll(() => t.close());

const FIXTURES = new URL('../../domain/formats/pytorch/fixtures/', import.meta.url);
const fixture = (name: string) => readFileSync(new URL(`${name}.pt`, FIXTURES));
const BOUNDARY = 'f6d5d5a3c0b2';

type Part = readonly [name: string, value: string | Uint8Array];

/** As httpx writes a form: a file's part has a name and a guessed type, whatever it holds. */
function formOf(...parts: readonly Part[]): Uint8Array<ArrayBuffer> {
  const chunks = parts.flatMap(([name, value]) => {
    const isFile = typeof value !== 'string';
    const of = isFile ? `; filename="model.pt"\r\nContent-Type: application/vnd.snesdev-page-table` : '';
    return [
      Buffer.from(`--${BOUNDARY}\r\nContent-Disposition: form-data; name="${name}"${of}\r\n\r\n`),
      Buffer.from(value),
      Buffer.from('\r\n'),
    ];
  });
  return new Uint8Array(Buffer.concat([...chunks, Buffer.from(`--${BOUNDARY}--\r\n`)]));
}

const send = (model: string, form: Uint8Array<ArrayBuffer>): Promise<Answer> =>
  t.call('POST', `${SDK}/models/${model}/versions/upload`, {
    raw: form,
    headers: { 'content-type': `multipart/form-data; boundary=${BOUNDARY}`, 'user-agent': 'python-httpx/0.23.0' },
    as: 'operator',
    idempotent: false,
  });
const upload = (model: string, version: string, bytes: Uint8Array, ...more: Part[]) =>
  send(model, formOf(['version', version], ...more, ['file', bytes]));

async function model(name: string): Promise<string> {
  const body = { name, framework: 'pytorch', use_case: 'test', description: '', org_id: 'default' };
  return textOf((await t.call('POST', `${SDK}/models`, { body })).body, 'id');
}

const leftOvers = () => readdirSync(join(t.blobDir, 'spool'));

describe('an uploaded file', () => {
  it('of torch becomes the tensors of a version, in canonical safetensors', async () => {
    const id = await model('keyboard');
    const made = await upload('keyboard', '1.0.0', fixture('mlp'), ['description', 'first']);
    expect(made).toMatchObject({
      status: 201,
      body: { model_id: id, version: '1.0.0', status: 'draft', lifecycle_state: 'Trained', format: 'safetensors' },
    });
    const { bytes } = await t.call('GET', `${SDK}/models/${id}/versions/1.0.0/download?format=safetensors`);
    const [kept, sent] = [readSafetensors(bytes), readTorch(fixture('mlp'), 2 ** 20)];
    if (isRefusal(kept) || isRefusal(sent)) throw new Error('unreadable');
    const numbers = (list: typeof sent) =>
      list.map(({ name, shape, data }) => [name, shape, Buffer.from(data).toString('hex')]).sort();
    expect(numbers(kept.tensors)).toEqual(numbers(sent));
    expect(leftOvers()).toEqual([]);
  });

  it('is told by its bytes, whatever it is called: safetensors, ONNX beside it, a wrapped one', async () => {
    await model('kinds');
    const weights = [
      f32Tensor('fc.weight', [2, 3], new Float32Array(6)),
      f32Tensor('fc.bias', [2], new Float32Array(2)),
    ];
    const bytes = writeSafetensors(weights);
    const first = await upload('kinds', '1.0.0', bytes);
    const sha = createHash('sha256').update(bytes).digest('hex');
    expect(first.body).toMatchObject({ format: 'safetensors', checksum: sha, size_bytes: bytes.length });
    const onnx = buildMlp({ kind: 'mlp:relu:linear', input_dim: 3, output_dim: 2 }, weights);
    if (isRefusal(onnx)) throw new Error(onnx.detail);
    const both = await upload('kinds', '1.0.0', onnx);
    expect(both).toMatchObject({
      status: 201,
      body: { formats: { onnx: { size_bytes: onnx.length }, safetensors: {} } },
    });
    expect((await upload('kinds', '1.1.0', fixture('wrapped'))).status).toBe(201);
    expect((await upload('kinds', '1.2.0', fixture('views'))).status).toBe(201);
  });

  it('again is the same version; other bytes of its kind are 409', async () => {
    await model('again');
    const all = await Promise.all(Array.from({ length: 5 }, () => upload('again', '1.0.0', fixture('mlp'))));
    expect(all.map(({ status }) => status).sort()).toEqual([200, 200, 200, 200, 201]);
    const before = await t.facts();
    expect((await upload('again', '1.0.0', fixture('mlp'))).body).toEqual(all[0]!.body);
    expect(await upload('again', '1.0.0', fixture('cnn'))).toMatchObject({ status: 409 });
    expect(await t.facts()).toBe(before);
  });

  it('follows the highest good version below it', async () => {
    await t.published('line', '1.0.0', '2.0.0');
    expect((await upload('line', '1.5.0', fixture('mlp'))).body).toMatchObject({ parent_version: '1.0.0' });
    expect((await upload('line', '2.0.1', fixture('mlp'))).body).toMatchObject({ parent_version: '2.0.0' });
    expect((await upload('line', '0.9.0', fixture('mlp'))).body).not.toHaveProperty('parent_version');
  });

  it('says which fields are not read', async () => {
    await model('fields');
    const answer = await upload('fields', '1.0.0', fixture('mlp'), ['architecture', 'mlp'], ['input_dim', '16']);
    expect(answer.body['warnings']).toEqual([expect.stringContaining('architecture, input_dim: not read')]);
  });
});

describe('a file that is refused', () => {
  it.each<[string, () => Uint8Array, string, RegExp]>([
    ['a pickled module', () => fixture('whole_module'), 'unsafe_file', /names __main__\.Mlp, which is code/],
    ['a file of torch before 1.6', () => fixture('legacy'), 'file_not_supported', /before 1\.6/],
    ['a NumPy array', () => Buffer.from('\x93NUMPY\x01\x00', 'latin1'), 'file_not_supported', /NumPy/],
    ['text', () => Buffer.from('hello, this is no model'), 'file_not_supported', /text/],
    ['nothing', () => new Uint8Array(0), 'file_not_supported', /without a byte/],
    ['noise', () => createHash('sha512').update('noise').digest(), 'file_not_supported', /not/],
    ['a broken archive', () => fixture('mlp').subarray(0, 2_000), 'malformed_container', /cut short/],
  ])('%s: says why, and leaves nothing', async (name, bytes, code, sentence) => {
    await model(`refused ${name}`);
    const before = await t.facts();
    const answer = await upload(encodeURIComponent(`refused ${name}`), '1.0.0', bytes());
    expect(answer).toMatchObject({ status: 422, body: { code, detail: expect.stringMatching(sentence) as string } });
    expect(await t.facts()).toBe(before);
    expect(leftOvers()).toEqual([]);
  });

  it('is larger than is taken: 413', async () => {
    await model('large');
    expect(await upload('large', '1.0.0', new Uint8Array(70_000))).toMatchObject({ status: 413 });
    expect(leftOvers()).toEqual([]);
  });
});

describe('a form that is refused', () => {
  beforeAll(() => model('forms'));

  it.each<[string, readonly Part[], number]>([
    ['no version', [['file', fixture('mlp')]], 422],
    ['no file', [['version', '1.0.0']], 422],
    [
      'a version that is none',
      [
        ['version', 'one'],
        ['file', fixture('mlp')],
      ],
      422,
    ],
    [
      'two files',
      [
        ['version', '1.0.0'],
        ['file', fixture('mlp')],
        ['file', fixture('mlp')],
      ],
      422,
    ],
    [
      'another file',
      [
        ['version', '1.0.0'],
        ['onnx_data', fixture('mlp')],
      ],
      422,
    ],
    [
      'a long field',
      [
        ['version', '1'.repeat(20_000)],
        ['file', fixture('mlp')],
      ],
      422,
    ],
    ['many fields', Array.from({ length: 60 }, (_, i) => [`f${i}`, 'x'] as const), 422],
  ])('%s', async (_, parts, status) => {
    const before = await t.facts();
    expect(await send('forms', formOf(...parts))).toMatchObject({
      status,
      body: { detail: expect.any(String) as string },
    });
    expect(await t.facts()).toBe(before);
    expect(leftOvers()).toEqual([]);
  });

  it('is no form: 415; ends early: 400; of an unknown model: 404', async () => {
    const path = `${SDK}/models/forms/versions/upload`;
    expect((await t.call('POST', path, { body: {} })).status).toBe(415);
    const whole = formOf(['version', '1.0.0'], ['file', fixture('mlp')]);
    expect(await send('forms', whole.slice(0, whole.length - 200))).toMatchObject({
      status: 400,
      body: { code: 'body_incomplete' },
    });
    expect((await send('nobody', whole)).status).toBe(404);
    expect(leftOvers()).toEqual([]);
  });

  it('breaks off with its connection: nothing is left, and the next one is taken', async () => {
    const { hostname, port } = new URL(t.url);
    const socket = connect(Number(port), hostname);
    const head = formOf(['version', '3.0.0'], ['file', fixture('mlp')]).slice(0, 1_000);
    const key = `authorization: Bearer ${t.secretOf('operator')}`;
    const type = `content-type: multipart/form-data; boundary=${BOUNDARY}`;
    socket.write(`POST ${SDK}/models/forms/versions/upload HTTP/1.1\r\nhost: h\r\n${key}\r\n${type}\r\n`);
    socket.write('content-length: 4000\r\n\r\n');
    socket.write(head, () => socket.destroy());
    await new Promise((resolve) => socket.once('close', resolve));
    expect((await upload('forms', '3.0.0', fixture('mlp'))).status).toBe(201);
    await expect.poll(leftOvers).toEqual([]);
  });
});

it('is not for a viewer or a device', async () => {
  await model('roles');
  for (const role of ['viewer', 'device'] as const)
    expect((await t.call('POST', `${SDK}/models/roles/versions/upload`, { as: role })).status).toBe(403);
  expect((await t.call('GET', `${OWN}/models/roles/versions`)).body['items']).toEqual([]);
});
