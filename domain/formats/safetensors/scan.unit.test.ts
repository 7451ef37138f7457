/** A file shown to the gate as it comes is judged as the whole file is, wherever its bytes are cut, and to the same bits. */
import { describe, expect, inject, it } from 'vitest';
import { openGate, squares, type AdmissionTerms } from '../../learning/index.ts';
import { runningSquares } from '../../learning/norm.ts';
import { encodeUpdate, f32Tensor, isRefusal, readSafetensors, scanSafetensors, type Tensor } from './index.ts';

/** Numbers in [0, 1) that a seed repeats. */
function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
const random = randomFrom(inject('seed'));

const hex = (x: number) =>
  Buffer.from(new Float64Array([x]).buffer)
    .reverse()
    .toString('hex');
const bytesOf = (x: Float32Array) => new Uint8Array(x.buffer, x.byteOffset, x.byteLength);
const vector = Float32Array.from({ length: 4097 }, (_, i) => Math.fround(((37 * i) % 101) / 101));

describe('the norm of a tensor that comes in pieces', () => {
  it('has the bits of the vector at every cut of its last and first blocks', () => {
    const bytes = bytesOf(vector);
    const cuts = [...Array(70).keys(), ...Array.from({ length: 70 }, (_, i) => bytes.length - 70 + i)];
    for (const cut of [...cuts, 16_383, 16_384, 16_385]) {
      const running = runningSquares();
      running.take(bytes.subarray(0, cut));
      running.take(bytes.subarray(cut));
      const { sum, maxAbs } = running.end();
      expect([cut, hex(sum), maxAbs]).toEqual([cut, '409503bf90fc3dd0', Math.fround(100 / 101)]);
    }
  });

  it('has the bits of the whole tensor, one tensor after the other, byte by byte too', () => {
    const running = runningSquares();
    for (const length of [0, 1, 3, 4095, 4096, 4097, 8193]) {
      const x = Float32Array.from({ length }, () => (random() - 0.5) * 10 ** (random() * 30 - 15));
      const bytes = bytesOf(x);
      for (let at = 0; at < bytes.length;) {
        const n = 1 + Math.floor(random() * (random() < 0.5 ? 7 : 20_000));
        running.take(bytes.subarray(at, at + n));
        at += n;
      }
      expect(running.end()).toEqual(squares(x));
    }
  });
});

const BASE = 'b'.repeat(64);
const shapes: readonly (readonly [name: string, shape: number[]])[] = [
  ['a', [3]],
  ['bn.running_var', [5]],
  ['empty', [0, 4]],
  ['w', [41, 101]],
];
const terms: AdmissionTerms = {
  base: shapes.map(([name, shape]) => ({ name, dtype: 'F32', shape })),
  baseSha: BASE,
  roundId: 'run.1.1',
  taskId: 'task',
  maxNorm: 30,
  limit: 2 ** 18,
  spec: {
    admission: { max_norm: 30, max_samples: 100_000, zero_samples: 'reject', per_device: 1 },
    aggregation: { rule: 'fedavg', weight: 'samples', weight_cap: 10_000 },
    metrics: ['loss', 'accuracy'],
  },
};

function file(values: (name: string, i: number) => number, more: object = {}, rename = (name: string) => name) {
  const deltas = shapes.map(([name, shape]): Tensor => {
    const x = Float32Array.from({ length: shape.reduce((n, d) => n * d, 1) }, (_, i) => values(name, i));
    return f32Tensor(rename(name), shape, x);
  });
  return encodeUpdate({ base: BASE, round: 'run.1.1', task: 'task', samples: 7, metrics: {}, deltas, ...more });
}

/** What is said of the bytes in pieces, and how many bytes had come when it was said. */
function judge(bytes: Uint8Array, pieces: Iterable<number>, headerBytes = 70_000) {
  const gate = openGate(terms);
  const scan = scanSafetensors(bytes.length, headerBytes, {
    header: ({ metadata, entries }) => gate.header({ metadata, tensors: entries }),
    data: ({ name }, part, isLast) => gate.data(name, part, isLast),
  });
  let at = 0;
  for (const size of pieces) {
    const refused = scan.take(bytes.subarray(at, at + size));
    at += size;
    if (refused) return { said: refused, at };
    if (at >= bytes.length) break;
  }
  return { said: scan.end() ?? gate.verdict(), at };
}

function* cut(most: number): Generator<number> {
  for (;;) yield 1 + Math.floor(random() * most);
}

const good = (_name: string, i: number) => Math.sin(i) / 8;
const cases: readonly (readonly [string, Uint8Array])[] = [
  ['a good file', file(good)],
  ['NaN in the last number', file((name, i) => (name === 'w' && i === 4140 ? Number.NaN : good(name, i)))],
  ['infinity in a buffer', file((name, i) => (name === 'bn.running_var' && i === 0 ? Infinity : good(name, i)))],
  ['too long', file((name, i) => (name === 'w' ? 1 : good(name, i)))],
  ['off the grid', file((name, i) => (name === 'bn.running_var' ? 2 ** 19 : good(name, i)))],
  ['another base', file(good, { base: 'c'.repeat(64) })],
  ['another round', file(good, { round: 'run.1.2' })],
  ['no samples', file(good, { samples: 0 })],
  ['a strange tensor', file(good, {}, (name) => (name === 'w' ? 'z' : name))],
  ['cut short', file(good).subarray(0, -1)],
  ['a byte too many', Buffer.concat([file(good), Buffer.alloc(1)])],
  ['cut within the header', file(good).subarray(0, 100)],
  ['cut within the prefix', file(good).subarray(0, 5)],
  ['nothing', new Uint8Array(0)],
  ['no safetensors', Buffer.from('\x80\x02}q\x00(X\x06\x00\x00\x00weightq\x01')],
];

describe('a file that comes in pieces', () => {
  it.each(cases)('is judged as the whole: %s', (_what, bytes) => {
    const whole = judge(bytes, [Infinity]).said;
    const read = readSafetensors(bytes);
    if (isRefusal(read)) expect(whole).toMatchObject({ code: 'malformed_container' });
    expect(judge(bytes, cut(1)).said).toEqual(whole);
    for (let n = 0; n < 20; n += 1) {
      const most = 10 ** (random() * 4.5);
      expect(judge(bytes, cut(most)).said).toEqual(whole);
    }
  });

  it('has each row of the table', () => {
    const codes = cases.map(([, bytes]) => judge(bytes, [Infinity]).said).map((s) => ('code' in s ? s.code : 'ok'));
    const malformed = Array<string>(6).fill('malformed_container');
    const header = ['wrong_base', 'metadata_mismatch', 'samples_out_of_range', 'unknown_tensor'];
    expect(codes).toEqual(['ok', 'non_finite', 'non_finite', 'norm_exceeded', 'grid_range', ...header, ...malformed]);
  });

  it('is refused as soon as its header is there, and never holds a header longer than it may be', () => {
    const bytes = file(good, { round: 'other' });
    const header = 8 + Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
    expect(judge(bytes, cut(1))).toMatchObject({ said: { code: 'metadata_mismatch' }, at: header });
    expect(judge(file(good), cut(1), 80)).toMatchObject({ said: { code: 'malformed_container' }, at: 8 });
  });
});
