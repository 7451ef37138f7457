/** Canonical safetensors: golden bytes, and everything that a reader refuses. */
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sha256Hex, utf8ToBytes } from '../../hash/sha256.ts';
import { isRefusal, refuse } from '../../refusal.ts';
import { isFiniteTensor } from './finite.ts';
import { DTYPES, elementsOf, sizeOf } from './dtype.ts';
import { compareUtf8 } from './order.ts';
import { headerLength, parseHeader, readHeader, readSafetensors } from './read.ts';
import { f32Tensor, f32Values, type Tensor } from './tensor.ts';
import { encodeUpdate } from './update.ts';
import { writeSafetensors } from './write.ts';

const raw = (name: string, dtype: Tensor['dtype'], shape: number[], ...data: number[]): Tensor => {
  return { name, dtype, shape, data: Uint8Array.from(data) };
};
const golden: Tensor[] = [
  raw('mask', 'BOOL', [3], 1, 0, 1),
  f32Tensor('w', [1], Float32Array.of(2)),
  raw('bn.num_batches_tracked', 'I64', [], 7, 0, 0, 0, 0, 0, 0, 0),
  f32Tensor('B', [1], Float32Array.of(3)),
  f32Tensor('0', [1], Float32Array.of(1)),
];

/** A file with this header text, padded as the format wants. */
function fileOf(header: string, data = new Uint8Array(0)): Uint8Array {
  const text = utf8ToBytes(
    header.padEnd(Math.ceil(utf8ToBytes(header).length / 8) * 8 - utf8ToBytes(header).length + header.length),
  );
  const file = new Uint8Array(8 + text.length + data.length);
  new DataView(file.buffer).setBigUint64(0, BigInt(text.length), true);
  file.set(text, 8);
  file.set(data, 8 + text.length);
  return file;
}
/** Whether the writer takes a tensor of this name. */
function isWritable(name: string): boolean {
  try {
    writeSafetensors([raw(name, 'U8', [], 0)]);
    return true;
  } catch (error) {
    if (error instanceof RangeError) return false;
    throw error;
  }
}
const faultOf = (file: Uint8Array) => {
  const result = readSafetensors(file);
  return isRefusal(result) ? result : refuse('server_error', 'was accepted');
};

describe('canonical safetensors', () => {
  it('writes the file of docs/design/learning.md "Canonical safetensors", whatever the order given', () => {
    for (const tensors of [golden, [...golden].reverse()]) {
      const bytes = writeSafetensors(tensors);
      expect(bytes.length).toBe(335);
      expect(sha256Hex(bytes)).toBe('6bb0671f1e533cd85748e342a780a10f24d4a45e8e2bb7a3362f4a0be71320c0');
    }
  });

  it('writes the base and the updates of docs/design/learning.md "Golden round"', () => {
    const model = (v: number[]) => [
      f32Tensor('w', [2, 2], Float32Array.from(v.slice(2))),
      f32Tensor('b', [2], Float32Array.from(v.slice(0, 2))),
    ];
    const base = writeSafetensors(model([0.5, -1.25, 0, 3, 0.001, 0.1]));
    expect(base.length).toBe(144);
    expect(sha256Hex(base)).toBe('1d21bdce71da5d6adbf4db0a2f0be5f3111d4de28f5fa6da8357413093cf0b1f');
    const deltas = [
      [0.1, -0.2, 0, 1e-7, -3e-10, 2 ** -29],
      [0.3, 0.7, -0, -1e-7, 5e-10, 3 * 2 ** -29],
      [-0.05, 1 / 3, 1e-45, 2.5, 1e-8, -5 * 2 ** -29],
    ];
    const files = deltas.map((d, i) =>
      encodeUpdate({
        base: sha256Hex(base),
        round: '00000000-0000-7000-8000-0000000000aa.1.1',
        task: `00000000-0000-7000-8000-00000000000${i + 1}`,
        samples: [600, 250, 1][i]!,
        metrics: {},
        deltas: model(d),
      }),
    );
    expect(files.map((f) => f.length)).toEqual([384, 384, 376]);
    expect(files.map((f) => sha256Hex(f).slice(0, 8))).toEqual(['8a08d78e', '38b39e74', '1382d919']);
  });

  it('keeps names that objects lose, and their values', () => {
    const names = ['__proto__', '0', '1', 'constructor', 'ä', '\u{1F600}', '\uFFFD', ' ', '"\\'];
    const file = readSafetensors(writeSafetensors(names.map((n, i) => f32Tensor(n, [], Float32Array.of(i)))));
    if (isRefusal(file)) throw new Error(file.detail);
    expect(new Set(file.tensors.map((t) => t.name))).toEqual(new Set(names));
    for (const t of file.tensors) expect(f32Values(t)[0]).toBe(names.indexOf(t.name));
  });

  it('reads back what it wrote, byte for byte', () => {
    const tensor = fc
      .record({
        name: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 }).filter(isWritable),
        dtype: fc.constantFrom(...DTYPES),
        shape: fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 4 }),
      })
      .chain((t) => {
        const n = elementsOf(t.shape) * sizeOf(t.dtype);
        return fc.uint8Array({ minLength: n, maxLength: n }).map((data): Tensor => ({ ...t, data }));
      });
    const tensors = fc.uniqueArray(tensor, { selector: (t) => t.name, minLength: 1, maxLength: 8 });
    const metadata = fc.array(fc.tuple(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'grapheme' })), {
      maxLength: 4,
    });
    fc.assert(
      fc.property(tensors, metadata, (given, pairs) => {
        const bytes = writeSafetensors(given, new Map(pairs));
        const file = readSafetensors(bytes);
        if (isRefusal(file)) throw new Error(file.detail);
        expect(file.metadata).toEqual(new Map(pairs));
        expect(writeSafetensors(file.tensors, file.metadata)).toEqual(bytes);
      }),
    );
  });

  it('writes a name exactly when a reader takes it', () => {
    const spelled = fc.oneof(
      fc.string({ unit: 'grapheme' }),
      fc.string({ unit: 'binary' }),
      fc.constantFrom('a\u2028b', '\u2029', '\u0085', '\ud800', '\u0000', '', 'n'.repeat(512), 'n'.repeat(513)),
    );
    const taken = (name: string) =>
      !isRefusal(
        readSafetensors(
          fileOf(`{${JSON.stringify(name)}:{"dtype":"F32","shape":[],"data_offsets":[0,4]}}`, new Uint8Array(4)),
        ),
      );
    fc.assert(fc.property(spelled, (name) => isWritable(name) === taken(name)));
  });

  it('orders names as their UTF-8 bytes', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (a, b) => {
        expect(Math.sign(compareUtf8(a, b))).toBe(Buffer.compare(Buffer.from(a), Buffer.from(b)));
      }),
    );
  });

  it('reads floats from a view at any offset, also of a Buffer that shares its memory', () => {
    const bytes = writeSafetensors([f32Tensor('w', [2], Float32Array.of(1, -2))]);
    for (const shift of [0, 1, 2, 3]) {
      const file = readSafetensors(Buffer.concat([Buffer.alloc(shift, 7), bytes]).subarray(shift));
      if (isRefusal(file)) throw new Error(file.detail);
      expect(f32Values(file.tensors[0]!)).toEqual(Float32Array.of(1, -2));
    }
  });

  it('finds NaN and infinity in every kind of float', () => {
    const of = (dtype: Tensor['dtype'], ...data: number[]) => raw('t', dtype, [data.length / sizeOf(dtype)], ...data);
    const f64 = (x: number) => of('F64', ...new Uint8Array(Float64Array.of(1, x).buffer));
    expect(
      [f64(NaN), f64(Infinity), of('F16', 0, 0x7c), of('F16', 1, 0xfc), of('BF16', 0x80, 0x7f)].some(isFiniteTensor),
    ).toBe(false);
    expect(isFiniteTensor(f32Tensor('t', [2], Float32Array.of(1, -Infinity)))).toBe(false);
    expect(
      [
        f64(1),
        of('F16', 0xff, 0x7b),
        of('BF16', 0x7f, 0x7f),
        of('U8', 255),
        of('I64', ...Array<number>(8).fill(255)),
      ].every(isFiniteTensor),
    ).toBe(true);
  });

  it('parses a header before the data have come', () => {
    const bytes = writeSafetensors(golden, { task: 't' });
    const length = headerLength(bytes.subarray(0, 8));
    if (isRefusal(length)) throw new Error(length.detail);
    const header = parseHeader(bytes.subarray(8, 8 + length.headerBytes), bytes.length);
    expect(header).toEqual(readHeader(bytes));
    expect(header).toMatchObject({ dataBytes: 23, metadata: new Map([['task', 't']]) });
  });
});

describe('the strict reader refuses', () => {
  const w = (offsets: string, dtype = 'F32', shape = '[1]') =>
    `"w":{"dtype":"${dtype}","shape":${shape},"data_offsets":${offsets}}`;
  const four = new Uint8Array(4);
  const cases: [string, Uint8Array, RegExp][] = [
    ['nothing', new Uint8Array(0), /at least 8 bytes/],
    ['a pickle', utf8ToBytes('PK\u0003\u0004 not safetensors at all'), /length prefix/],
    ['a header that is not padded', new Uint8Array([2, 0, 0, 0, 0, 0, 0, 0, 0x7b, 0x7d]), /padded/],
    ['half a header', fileOf('{}').subarray(0, 12), /header ends/],
    ['no JSON', fileOf('hello'), /expected {/],
    ['a name given twice', fileOf(`{${w('[0,4]')},${w('[0,4]')}}`, four), /twice/],
    [
      'a member we do not know',
      fileOf('{"w":{"dtype":"F32","shape":[],"data_offsets":[0,4],"x":1}}', four),
      /expected|unknown/,
    ],
    ['an unknown dtype', fileOf(`{${w('[0,4]', 'F8')}}`, four), /unknown dtype/],
    ['a gap', fileOf(`{${w('[4,8]')}}`, new Uint8Array(8)), /begin at 0/],
    ['offsets that disagree with the shape', fileOf(`{${w('[0,8]')}}`, new Uint8Array(8)), /takes 4 bytes/],
    ['data left over', fileOf(`{${w('[0,4]')}}`, new Uint8Array(5)), /file has/],
    ['data cut short', fileOf(`{${w('[0,4]')}}`, new Uint8Array(3)), /file has/],
    ['nine dimensions', fileOf(`{${w('[0,4]', 'F32', '[1,1,1,1,1,1,1,1,1]')}}`, four), /more than 8/],
    ['a shape past the limit', fileOf(`{${w('[0,4]', 'F32', '[100000,100000]')}}`, four), /more than 100000000/],
    ['2^32 x 2^32 x 0', fileOf(`{${w('[0,0]', 'F32', '[4294967296,4294967296,0]')}}`), /more than 100000000/],
    ['dimensions that overflow after a 0', fileOf(`{${w('[0,0]', 'F32', '[0,4294967296,4294967296]')}}`), /more than/],
    ['no tensor', fileOf('{}'), /no tensor/],
    ['metadata alone', fileOf('{"__metadata__":{"a":"b"}}'), /no tensor/],
    ['a name that is empty', fileOf('{"":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}', four), /without a name/],
    [
      'a name with a NUL, told without it',
      fileOf('{"a\\u0000b\u007f":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}', four),
      /"a\\u0000b\\u007f" holds a control character/,
    ],
    ['a header that begins with a space', fileOf(` {${w('[0,4]')}}`, four), /must begin with {/],
    ['negative dimensions', fileOf(`{${w('[0,4]', 'F32', '[-1]')}}`, four), /whole number/],
    ['half a surrogate', fileOf('{"\\ud800":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}', four), /Unicode/],
    ['metadata that are no strings', fileOf('{"__metadata__":{"a":1}}'), /expected "/],
    ['bytes that are no UTF-8', fileOf('{}').fill(0xff, 10), /UTF-8/],
    ['deep nesting', fileOf('['.repeat(1e6)), /expected {/],
  ];
  it.each(cases)('%s', (_, file, detail) => {
    const fault = faultOf(file);
    expect(fault.code).toBe('malformed_container');
    expect(fault.detail).toMatch(detail);
  });

  it('tensors out of canonical order, naming the one', () => {
    const header =
      '{"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]},"c":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}';
    expect(faultOf(fileOf(header, new Uint8Array(8)))).toMatchObject({
      code: 'malformed_container',
      more: { tensor: 'b' },
    });
    const keysOnly =
      '{"c":{"dtype":"F32","shape":[1],"data_offsets":[4,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}';
    expect(isRefusal(readSafetensors(fileOf(keysOnly, new Uint8Array(8))))).toBe(false);
  });

  it('more tensors than allowed, and a name of megabytes, without exhausting the stack', () => {
    const many = Array.from({ length: 20_001 }, (_, i) => `"${i}":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}`);
    expect(faultOf(fileOf(`{${many.join(',')}}`)).detail).toMatch(/more than 20000 tensors/);
    const long = 'n'.repeat(12e6);
    const fault = faultOf(fileOf(`{"${long}":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}`));
    expect(fault.detail).toMatch(/more than 512 characters/);
    expect(fault.detail.length).toBeLessThan(200);
  });

  it('whatever the reference library refuses, and beyond that only what is named here', () => {
    // What `safetensors` 0.8.0 for Python answers, `deserialize` and then `numpy.load`, over a header and so many bytes of zeros.
    const text = readFileSync(new URL('./fixtures/reference.json', import.meta.url), 'utf8');
    const rows = JSON.parse(text) as { what: string; header: string; data: number; opens: boolean }[];
    const refusedHere = rows.filter(({ header, data }) =>
      isRefusal(readSafetensors(fileOf(header, new Uint8Array(data)))),
    );
    expect(rows.length).toBeGreaterThan(100);
    expect(rows.filter((r) => !r.opens && !refusedHere.includes(r)).map((r) => r.what)).toEqual([]);
    expect(refusedHere.filter((r) => r.opens).map((r) => r.what)).toEqual([
      'no tensors',
      'no tensors, with metadata',
      '2^53-1 x 0',
      'rank 9',
      'empty name',
      'name given twice',
      'NUL in name',
      'control in name, escaped',
      'DEL in name',
      'dtype C64',
      'unknown member',
      'tensor as array',
      'metadata null',
      'metadata key twice',
      'space before',
      'newline before',
      'tab before',
      'U8 before F32, aligned',
      'U8 before F32, unaligned',
    ]);
  });

  it('3,000 mutated files with a typed fault, or reads them as canonical', () => {
    const bytes = writeSafetensors(golden, { base: 'x', round: 'y' });
    const mutation = fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(mutation, fc.nat(bytes.length), fc.boolean(), (edits, cut, truncate) => {
        const mutant = bytes.slice(0, truncate ? cut : bytes.length);
        for (const [at, value] of edits) if (at < mutant.length) mutant[at] = value;
        const file = readSafetensors(mutant);
        if (isRefusal(file)) expect(file.code).toBe('malformed_container');
        else expect(writeSafetensors(file.tensors, file.metadata).length).toBeLessThanOrEqual(mutant.length);
      }),
      { numRuns: 3000 },
    );
  });

  it('by throwing only for a writer that lies about its tensors', () => {
    const t = f32Tensor('w', [1], Float32Array.of(1));
    expect(() => writeSafetensors([t, t])).toThrow(/twice/);
    expect(() => writeSafetensors([{ ...t, shape: [2] }])).toThrow(/takes 8 bytes/);
    expect(() => writeSafetensors([{ ...t, name: '__metadata__' }])).toThrow(/may not/);
  });
});
