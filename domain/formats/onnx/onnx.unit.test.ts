/** ONNX from named tensors and back, bit for bit, and the reference it is compared with. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Architecture } from '../../events/model.ts';
import { sha256Hex } from '../../hash/sha256.ts';
import { parseKind, planMlp } from '../architecture.ts';
import { compareNatural } from '../layerOrder.ts';
import { isRefusal } from '../../refusal.ts';
import { f32Tensor, type Tensor } from '../safetensors/tensor.ts';
import { buildMlp } from './build.ts';
import { compareOutputs, goldenInputs, isConstant } from './golden.ts';
import { exposeLogits } from './logits.ts';
import { readInitialisers } from './initialisers.ts';
import { referenceForward } from './reference.ts';

const tensor = (name: string, shape: number[], f: (i: number) => number = (i) => i / 8) => {
  return f32Tensor(
    name,
    shape,
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => f(i)),
  );
};
const steps: Tensor = { name: 'num_batches_tracked', dtype: 'I64', shape: [], data: new Uint8Array(8) };
const mlp: Architecture = { kind: 'mlp:relu:softmax', input_dim: 3, hidden_dim: 2, output_dim: 2 };
const tensors = [tensor('fc1.weight', [2, 3]), tensor('fc1.bias', [2]), tensor('fc2.weight', [2, 2]), steps];

describe('architecture', () => {
  const kindOf = (kind: string, output = 2) => parseKind({ kind, input_dim: 1, output_dim: output });
  it('reads the grammar from the left', () => {
    expect(kindOf('mlp')).toEqual({ hidden: 'relu', output: 'linear' });
    expect(kindOf('mlp:tanh')).toEqual({ hidden: 'tanh', output: 'linear' });
    expect(kindOf('mlp:softmax')).toEqual({ hidden: 'relu', output: 'softmax' });
    expect(kindOf('mlp:relu:sigmoid', 1)).toEqual({ hidden: 'relu', output: 'sigmoid' });
    for (const kind of ['resnet', 'mlp:', 'mlp:softmax:relu', 'mlp:relu:relu', 'mlp:relu:linear:x'])
      expect(kindOf(kind)).toMatchObject({ code: 'architecture_mismatch' });
    expect(kindOf('mlp:sigmoid', 1)).toMatchObject({ detail: expect.stringContaining('output activation') as string });
  });

  it('takes layers in natural order of names, with or without bias and prefix', () => {
    const names = ['fc10.weight', 'fc2.weight', 'fc1.weight', 'fc1.bias', 'a', '10', '9', '09'];
    expect([...names].sort(compareNatural)).toEqual([
      '09',
      '9',
      '10',
      'a',
      'fc1.bias',
      'fc1.weight',
      'fc2.weight',
      'fc10.weight',
    ]);
    const plan = planMlp(mlp, tensors);
    expect(plan).toEqual({
      hidden: 'relu',
      output: 'softmax',
      layers: [
        { weight: 'fc1.weight', bias: 'fc1.bias', inDim: 3, outDim: 2 },
        { weight: 'fc2.weight', bias: null, inDim: 2, outDim: 2 },
      ],
    });
    const logistic = { kind: 'mlp:relu:sigmoid', input_dim: 3, output_dim: 1 };
    expect(planMlp(logistic, [tensor('weight', [1, 3]), tensor('bias', [1])])).toMatchObject({
      layers: [{ bias: 'bias' }],
    });
  });

  const square: Architecture = { kind: 'mlp', input_dim: 8, output_dim: 8 };
  const weights = (...shapes: [string, number, number][]) => shapes.map(([n, o, i]) => tensor(`${n}weight`, [o, i]));
  const orders: [string, Tensor[], Architecture, string[]][] = [
    ['digits', weights(['2.', 8, 8], ['10.', 8, 8], ['0.', 8, 8]), square, ['0.', '2.', '10.']],
    ['digits in the midst', weights(['m.h2.', 8, 8], ['m.h1.', 8, 8]), square, ['m.h1.', 'm.h2.']],
    [
      'widths, against the alphabet',
      weights(['decoder.', 8, 2], ['encoder.', 2, 8]),
      { ...square, hidden_dim: 2 },
      ['encoder.', 'decoder.'],
    ],
    [
      'a width that only the last can leave',
      weights(['classifier.', 3, 8], ['encoder.', 8, 8]),
      { ...square, output_dim: 3 },
      ['encoder.', 'classifier.'],
    ],
    [
      'both',
      weights(['dec1.', 4, 2], ['dec2.', 8, 4], ['enc1.', 4, 8], ['enc2.', 2, 4]),
      square,
      ['enc1.', 'enc2.', 'dec1.', 'dec2.'],
    ],
    [
      'both, with a head',
      weights(['fc1.', 8, 4], ['fc2.', 8, 8], ['fc3.', 8, 8], ['a_head.', 3, 8]),
      { ...square, input_dim: 4, hidden_dim: 8, output_dim: 3 },
      ['fc1.', 'fc2.', 'fc3.', 'a_head.'],
    ],
  ];
  it.each(orders)('orders layers by %s', (_, given, architecture, order) => {
    const plan = planMlp(architecture, [...given].reverse());
    if (isRefusal(plan)) throw new Error(plan.detail);
    expect(plan.layers.map((l) => l.weight)).toEqual(order.map((p) => `${p}weight`));
  });

  it('refuses an order that neither names nor widths say, and says what to rename', () => {
    const uncertain = [
      weights(['decoder.', 8, 8], ['encoder.', 8, 8]),
      weights(['encoder1.', 8, 8], ['decoder1.', 8, 8]),
      weights(['fc01.', 8, 8], ['fc1.', 8, 8]),
      weights(['fc1.', 8, 8], ['fc2.', 8, 8], ['head.', 8, 8]),
      weights(['a.', 4, 8], ['b.', 8, 4], ['c.', 4, 8], ['d.', 8, 4]),
      weights(...Array.from({ length: 101 }, (_, i): [string, number, number] => [`fc${i < 100 ? i : 'x'}.`, 8, 8])),
    ];
    for (const given of uncertain) {
      const refusal = {
        code: 'architecture_mismatch',
        detail: expect.stringMatching(/order of the layers .* not certain.*"layer1\.weight"/) as string,
      };
      expect(planMlp(square, given)).toMatchObject(refusal);
      expect(buildMlp(square, given)).toMatchObject(refusal);
      expect(referenceForward(square, given, new Float32Array(8), 1)).toMatchObject(refusal);
    }
    expect(planMlp(square, uncertain[0]!)).toMatchObject({
      detail: expect.stringContaining('"decoder.weight" [8, 8], "encoder.weight" [8, 8]') as string,
    });
  });

  it('says yes exactly where one order of all fits', () => {
    const dims = fc.integer({ min: 1, max: 3 });
    const property = fc.property(
      fc.array(fc.tuple(dims, dims), { minLength: 2, maxLength: 5 }),
      dims,
      (edges, from) => {
        const layers = weights(...edges.map(([o, i], at): [string, number, number] => [`${'abcde'[at]}.`, o, i]));
        const fitting = (left: typeof edges, width: number): [number, number][][] =>
          left.length === 0
            ? [[]]
            : left.flatMap((edge, at) =>
                edge[1] === width ? fitting(left.toSpliced(at, 1), edge[0]).map((rest) => [edge, ...rest]) : [],
              );
        const all = fitting(edges, from);
        const output = all[0]?.at(-1)?.[0] ?? edges[0]![0];
        const plan = planMlp({ kind: 'mlp:linear', input_dim: from, output_dim: output }, layers);
        if (all.length !== 1) expect(plan).toMatchObject({ code: 'architecture_mismatch' });
        else expect(plan).toMatchObject({ layers: all[0]!.map(([outDim, inDim]) => ({ outDim, inDim })) });
      },
    );
    fc.assert(property, { numRuns: 2000 });
  });

  const first = tensors[0]!;
  const faults: [string, readonly Tensor[], Architecture, string | undefined][] = [
    ['a float tensor left over', [...tensors, tensor('scale', [2])], mlp, 'scale'],
    ['a convolution', [...tensors, tensor('conv.weight', [2, 2, 3])], mlp, 'conv.weight'],
    ['a bias of another width', [first, tensor('fc1.bias', [3])], { ...mlp, kind: 'mlp' }, 'fc1.bias'],
    ['another input', tensors, { ...mlp, input_dim: 4 }, 'fc1.weight'],
    ['another hidden width', tensors, { ...mlp, hidden_dim: 5 }, 'fc1.weight'],
    ['another output', tensors, { ...mlp, output_dim: 5 }, 'fc2.weight'],
    ['layers that do not chain', [first, tensor('fc2.weight', [2, 9])], mlp, 'fc2.weight'],
    ['hidden_dim with one layer', [first], mlp, 'fc1.weight'],
    ['half floats', [{ ...first, dtype: 'F16', data: new Uint8Array(12) }], mlp, 'fc1.weight'],
    ['no layer', [steps], mlp, undefined],
  ];
  it.each(faults)('refuses %s, naming the tensor', (_, given, architecture, name) => {
    for (const result of [
      planMlp(architecture, given),
      buildMlp(architecture, given),
      referenceForward(architecture, given, new Float32Array(4), 1),
    ]) {
      expect(result).toMatchObject({
        code: 'architecture_mismatch',
        ...(name === undefined ? {} : { more: { tensor: name } }),
      });
    }
  });
});

describe('buildMlp', () => {
  it('gives the same bytes for the same tensors, in any order and from shared memory', () => {
    const bytes = buildMlp(mlp, tensors);
    if (isRefusal(bytes)) throw new Error(bytes.detail);
    const shared = tensors.map((t) => ({ ...t, data: Buffer.concat([Buffer.alloc(3), t.data]).subarray(3) }));
    expect(buildMlp(mlp, [...shared].reverse())).toEqual(bytes);
    // Frozen: a change of library or of ours that moves a byte changes the hash of every published model.
    expect(sha256Hex(bytes)).toBe('9f378b65c6210130df819105be47a3832eb23b8eaa1c0b473c93ed6128499fdb');
  });

  it('exposes the logits under an activation, and only there', () => {
    const bytes = buildMlp(mlp, tensors);
    const raw = buildMlp({ ...mlp, kind: 'mlp:linear' }, tensors);
    if (isRefusal(bytes) || isRefusal(raw)) throw new Error('does not fit');
    const exposed = exposeLogits(bytes);
    expect(exposed?.name).toBe('layer2_linear');
    expect(readInitialisers(exposed!.model)).toEqual(readInitialisers(bytes));
    expect(exposeLogits(raw)).toBeUndefined();
  });

  it('stores weights that read back bit for bit, also odd ones', () => {
    const odd = f32Tensor('weight', [1, 6], Float32Array.of(-0, 1e-45, 3.4028234663852886e38, -1e-38, 0.1, 1 / 3));
    const bytes = buildMlp({ kind: 'mlp:linear', input_dim: 6, output_dim: 1 }, [odd]);
    if (isRefusal(bytes)) throw new Error(bytes.detail);
    const read = readInitialisers(bytes);
    expect(read).toMatchObject([{ name: 'weight', dtype: 'F32', shape: [1, 6] }]);
    if (!isRefusal(read)) expect(Buffer.from(read[0]!.data).equals(Buffer.from(odd.data))).toBe(true);
  });

  it('reads 2,000 mutated files with a typed fault or as tensors that fill their shape', () => {
    const bytes = buildMlp(mlp, tensors);
    if (isRefusal(bytes)) throw new Error(bytes.detail);
    const edits = fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(edits, fc.nat(bytes.length), (mutations, cut) => {
        const mutant = bytes.slice(0, cut % 3 === 0 ? cut : bytes.length);
        for (const [at, value] of mutations) if (at < mutant.length) mutant[at] = value;
        const read = readInitialisers(mutant);
        if (isRefusal(read)) expect(read.code).toBe('malformed_container');
        else for (const t of read) expect(t.shape.reduce((n, d) => n * d, 4)).toBe(t.data.length);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('reference and golden inputs', () => {
  it('computes a small network by hand', () => {
    const architecture = { kind: 'mlp:relu:sigmoid', input_dim: 2, hidden_dim: 2, output_dim: 1 };
    const net = [
      f32Tensor('a.weight', [2, 2], Float32Array.of(1, 2, -3, 1)),
      f32Tensor('a.bias', [2], Float32Array.of(0.5, 0)),
      f32Tensor('b.weight', [1, 2], Float32Array.of(2, 5)),
    ];
    const found = referenceForward(architecture, net, Float32Array.of(1, 1, 0, -1), 2);
    // relu(1+2+.5, -3+1) = (3.5, 0); relu(-2+.5, -1) = (0, 0)
    expect([...(found as Float64Array)]).toEqual([1 / (1 + Math.exp(-7)), 0.5]);
    const softmax = referenceForward(
      { ...architecture, kind: 'mlp:softmax', output_dim: 2 },
      [
        f32Tensor('fc1.weight', [2, 2], Float32Array.of(1, 2, -3, 1)),
        tensor('fc2.weight', [2, 2], (i) => (i < 2 ? 1e3 : 0)),
      ],
      Float32Array.of(1, 1),
      1,
    );
    expect([...(softmax as Float64Array)]).toEqual([1, 0]);
  });

  it('draws 16 rows that are the same everywhere and look normal', () => {
    const inputs = goldenInputs('seed', 500);
    expect(inputs).toEqual(goldenInputs('seed', 500));
    expect(inputs).not.toEqual(goldenInputs('other', 500));
    expect([...inputs.subarray(0, 1000)]).toEqual([...Array<number>(500).fill(0), ...Array<number>(500).fill(1)]);
    const drawn = [...inputs.subarray(1000)];
    const mean = drawn.reduce((a, b) => a + b, 0) / drawn.length;
    expect(Math.abs(mean)).toBeLessThan(0.05);
    expect(Math.abs(drawn.reduce((s, x) => s + (x - mean) ** 2, 0) / drawn.length - 1)).toBeLessThan(0.05);
  });

  it('holds probabilities by their logarithm, and never passes NaN', () => {
    const near = (p: number) => compareOutputs(Float32Array.of(p), Float64Array.of(1e-6), 'softmax').passed;
    expect([near(1e-6), near(1.001e-6), near(NaN), near(0)]).toEqual([true, false, false, false]);
    for (const output of ['linear', 'sigmoid'] as const)
      expect(compareOutputs(Float32Array.of(1.5e-6), Float64Array.of(1e-6), output).passed).toBe(true);
    expect(compareOutputs(Float32Array.of(100.0005), Float64Array.of(100), 'linear').passed).toBe(true);
    expect(compareOutputs(Float32Array.of(100.01), Float64Array.of(100), 'linear').passed).toBe(false);
    expect(compareOutputs(Float32Array.of(1), Float64Array.of(1, 2), 'linear').passed).toBe(false);
    expect([isConstant(Float32Array.of(1, 2, 1, 2), 2), isConstant(Float32Array.of(1, 2, 1, 3), 2)]).toEqual([
      true,
      false,
    ]);
  });
});
