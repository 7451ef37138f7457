/** Files that torch made are read to the bit, and what only running them could read is refused; nothing is ever run. */
import { readFileSync } from 'node:fs';
import { describe, expect, inject, it } from 'vitest';
import { ERRORS } from '../../errors.ts';
import { f32Values, isRefusal, type Refusal, type Tensor } from '../safetensors/index.ts';
import { unpickle } from './pickle.ts';
import { readTorch, writeTorch } from './index.ts';
import { Unreadable } from './unreadable.ts';
import { readZip, writeZip } from './zip.ts';

const MIB = 2 ** 20;
const fixture = (name: string) => new Uint8Array(readFileSync(new URL(`./fixtures/${name}.pt`, import.meta.url)));
const read = (name: string) => tensors(readTorch(fixture(name), MIB));

function tensors(found: readonly Tensor[] | Refusal): readonly Tensor[] {
  if (isRefusal(found)) throw new Error(found.detail);
  return found;
}
const shapes = (found: readonly Tensor[]) =>
  found.map(({ name, dtype, shape }) => `${name} ${dtype} [${shape.join()}]`);

describe('a file of torch 1.13', () => {
  it('is its state_dict, in its order', () => {
    expect(shapes(read('mlp'))).toEqual([
      'fc1.weight F32 [24,16]',
      'fc1.bias F32 [24]',
      'fc2.weight F32 [5,24]',
      'fc2.bias F32 [5]',
    ]);
    expect(shapes(read('cnn')).filter((line) => line.startsWith('bn.'))).toContain('bn.num_batches_tracked I64 []');
  });

  it('may be wrapped in a dict', () => {
    expect(shapes(read('wrapped'))).toEqual(shapes(read('mlp')));
  });

  it('has views as their numbers: one for all, transposed, half, integer', () => {
    const [w, t, h, n] = read('views');
    expect([...f32Values(w!)]).toEqual(Array.from({ length: 4096 }, () => 0));
    expect([t!.shape, [...f32Values(t!)]]).toEqual([
      [3, 2],
      [0, 3, 1, 4, 2, 5],
    ]);
    expect([h!.dtype, [...h!.data]]).toEqual(['F16', [0, 0x3c, 0, 0x3c, 0, 0x3c]]);
    expect([n!.dtype, n!.shape, n!.data[0]]).toEqual(['I64', [], 7]);
  });

  it.each([
    ['whole_module', 'unsafe_file', /names __main__\.Mlp, which is code.*Save the state_dict alone/],
    ['legacy', 'malformed_container', /ZIP archive/],
  ])('%s is refused with a sentence', (name, code, sentence) => {
    const found = readTorch(fixture(name), MIB);
    expect(found).toMatchObject({ code: code, detail: expect.stringMatching(sentence) as string });
  });

  it('is refused where a dict holds itself', () => {
    const itself = Uint8Array.from([0x80, 2, 0x7d, 0x71, 0, ...str('state_dict'), 0x68, 0, 0x73, 0x2e]);
    expect(readTorch(withPickle(itself, new Uint8Array(4)), MIB)).toMatchObject({ code: 'malformed_container' });
  });

  it('is refused where its tensors would take more than is allowed, before they are made', () => {
    const bomb = withPickle(
      stateDictOf(tensorOps({ shape: [2 ** 30, 4], stride: [0, 0], length: 1 })),
      new Uint8Array(4),
    );
    expect(readTorch(bomb, MIB)).toMatchObject({ code: 'payload_too_large' });
  });

  it('is refused where a view leaves its storage, or a storage is shorter than it says', () => {
    const beyond = stateDictOf(tensorOps({ shape: [2], stride: [1], length: 1 }));
    expect(readTorch(withPickle(beyond, new Uint8Array(4)), MIB)).toMatchObject({ code: 'malformed_container' });
    const short = stateDictOf(tensorOps({ shape: [2], stride: [1], length: 2 }));
    expect(readTorch(withPickle(short, new Uint8Array(4)), MIB)).toMatchObject({ code: 'malformed_container' });
  });
});

describe('what a pickle may not say', () => {
  it.each([
    ['posix.system', 'cposix\nsystem\n('],
    ['builtins.eval', 'c__builtin__\neval\n('],
    ['a storage class called', 'ctorch\nFloatStorage\n)R.'],
    ['a function named by texts', '\x8c\x05posix\x8c\x06system\x93.'],
    ['a new object', 'ccollections\nOrderedDict\n)\x81.'],
    ['INST', '(iposix\nsystem\n.'],
    ['members of a list', ']K\x01b.'],
  ])('%s is unsafe', (_, body) => {
    const bytes = Uint8Array.from(`\x80\x02${body}`, (c) => c.charCodeAt(0));
    expect(() => unpickle(bytes)).toThrow(expect.objectContaining({ code: 'unsafe_file' }) as Error);
  });

  it('a compressed or damaged entry', () => {
    const bytes = fixture('mlp');
    const compressed = bytes.slice();
    const at = indexOf(compressed, [0x50, 0x4b, 0x01, 0x02]);
    compressed[at + 10] = 8;
    expect(readTorch(compressed, MIB)).toMatchObject({ detail: expect.stringContaining('compressed') as string });
    const damaged = bytes.slice();
    damaged[indexOf(damaged, [...Buffer.from('_rebuild_tensor_v2')])] = 0x5e;
    expect(readTorch(damaged, MIB)).toMatchObject({ detail: expect.stringContaining('checksum') as string });
  });
});

describe('3,000 changed files', () => {
  it.each(['mlp', 'views', 'cnn'])('of %s: tensors or a refusal, never another fault', (name) => {
    const random = randomFrom(inject('seed'));
    const entries = [...readZip(fixture(name))];
    const pickle = entries.findIndex(([entry]) => entry.endsWith('data.pkl'));
    const whole = fixture(name);
    const seen = new Map<string, number>();
    for (let i = 0; i < 1_000; i += 1) {
      const isPickle = i % 2 === 0; // with a good checksum: the machine is reached
      const bytes = (isPickle ? entries[pickle]![1] : whole).slice();
      for (let n = 1 + Math.floor(random() * 3); n > 0; n -= 1)
        bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256);
      const file = isPickle
        ? writeZip(entries.map(([entry, old], at) => [entry, at === pickle ? bytes : old] as const))
        : bytes;
      const found = readTorch(file, MIB);
      const word = isRefusal(found) ? found.code : 'read';
      seen.set(word, (seen.get(word) ?? 0) + 1);
      if (isRefusal(found)) expect(ERRORS[found.code].status).toBeGreaterThanOrEqual(413);
    }
    expect(seen.get('malformed_container')).toBeGreaterThan(100);
  });
});

describe('what we write', () => {
  it.each(['mlp', 'cnn', 'views'])('of %s is read back to the bit, and is the same each time', (name) => {
    const before = read(name);
    const written = writeTorch(before);
    if (isRefusal(written)) throw new Error(written.detail);
    expect(tensors(readTorch(written, MIB))).toEqual(before.map((t) => ({ ...t, data: Uint8Array.from(t.data) })));
    expect(written).toEqual(writeTorch(before));
  });

  it('has the version record without which torch refuses it, and no number that torch lacks', () => {
    const written = writeTorch(read('mlp'));
    if (isRefusal(written)) throw new Error(written.detail);
    expect(Buffer.from(readZip(written).get('archive/version')!).toString()).toBe('3\n');
    const wide = { name: 'w', dtype: 'U64', shape: [1], data: new Uint8Array(8) } as const;
    expect(writeTorch([wide])).toMatchObject({ code: 'dtype_mismatch', more: { tensor: 'w' } });
  });
});

it('throws only what its door turns into a value', () => {
  expect(() => unpickle(new Uint8Array(0))).toThrow(Unreadable);
});

function indexOf(bytes: Uint8Array, wanted: readonly number[]): number {
  return Buffer.from(bytes).indexOf(Buffer.from(wanted));
}

/** Mulberry32. */
function randomFrom(start: number): () => number {
  let state = start;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const withPickle = (pickle: Uint8Array, storage: Uint8Array) =>
  writeZip([
    ['a/data.pkl', pickle],
    ['a/data/0', storage],
    ['a/version', Uint8Array.of(0x33, 10)],
  ]);
const ascii = (text: string) => [...Buffer.from(text)];
const str = (text: string) => [0x58, text.length, 0, 0, 0, ...ascii(text)];
const int = (n: number) => [0x4a, n & 255, (n >> 8) & 255, (n >> 16) & 255, (n >>> 24) & 255];
const ints = (values: readonly number[]) => [0x28, ...values.flatMap(int), 0x74];
const tensorOps = ({ shape, stride, length }: { shape: number[]; stride: number[]; length: number }) => [
  ...ascii('ctorch._utils\n_rebuild_tensor_v2\n'),
  ...[0x28, 0x28, ...str('storage'), ...ascii('ctorch\nFloatStorage\n'), ...str('0'), ...str('cpu'), ...int(length)],
  ...[
    0x74,
    0x51,
    ...int(0),
    ...ints(shape),
    ...ints(stride),
    0x89,
    ...ascii('ccollections\nOrderedDict\n'),
    0x29,
    0x52,
  ],
  ...[0x74, 0x52],
];
const stateDictOf = (tensor: readonly number[]) =>
  Uint8Array.from([0x80, 2, 0x7d, 0x28, ...str('w'), ...tensor, 0x75, 0x2e]);
