/** Which update a round takes, and why it refuses one. */
import { describe, expect, it } from 'vitest';
import { openGate, type AdmissionTerms, type UpdateHeader } from './admission.ts';
import { limitFor } from './grid.ts';
import { checkTrainableBase } from './trainableBase.ts';

const f32 = (name: string, ...values: number[]) => {
  return { name, dtype: 'F32', shape: [values.length], data: new Uint8Array(Float32Array.from(values).buffer) };
};
interface UpdateFile extends UpdateHeader {
  readonly tensors: readonly ReturnType<typeof f32>[];
}

/** A whole file at the gate, each tensor in pieces of `size` bytes. */
function admitUpdate(file: UpdateFile, terms: AdmissionTerms, size = Infinity) {
  const gate = openGate(terms);
  const refused = gate.header(file);
  if (refused) return refused;
  for (const { name, data } of file.tensors) {
    for (let at = 0; at < data.length; at += size) {
      const early = gate.data(name, data.subarray(at, at + size), at + size >= data.length);
      if (early) return early;
    }
  }
  return gate.verdict();
}

const terms: AdmissionTerms = {
  base: [
    { name: 'steps', dtype: 'I64', shape: [] },
    { name: 'b', dtype: 'F32', shape: [2] },
    { name: 'bn.running_mean', dtype: 'F32', shape: [1] },
  ],
  baseSha: 'b'.repeat(64),
  roundId: 'run.1.1',
  taskId: 'task',
  maxNorm: 10,
  limit: limitFor(10_000),
  spec: {
    admission: { max_norm: 10, max_samples: 100_000, zero_samples: 'reject', per_device: 1 },
    aggregation: { rule: 'fedavg', weight: 'samples', weight_cap: 10_000 },
    metrics: ['loss', 'accuracy'],
  },
};
const metadata = {
  base: terms.baseSha,
  round: 'run.1.1',
  task: 'task',
  format: 'delta',
  samples: '600',
  metrics: '{}',
};
const tensors = [f32('b', 3, -4), f32('bn.running_mean', 100)];
const update = (over: Partial<Record<keyof typeof metadata, string>> = {}, t = tensors): UpdateFile => {
  return { metadata: new Map(Object.entries({ ...metadata, ...over })), tensors: t };
};

describe('admitUpdate', () => {
  it('gives what the row keeps; buffers count for max|d| but not for the norm', () => {
    const metrics = '{"n":600,"loss_sum":1.5,"correct":590}';
    expect(admitUpdate(update({ metrics }), terms)).toEqual({
      ok: true,
      samples: 600,
      weight: 600,
      norm: 5,
      maxAbs: 100,
      metrics: { n: 600, loss_sum: 1.5, correct: 590 },
    });
    expect(
      admitUpdate(update({ samples: '25000' }, [f32('b', 1, 0), f32('bn.running_mean', -0)]), terms),
    ).toMatchObject({
      samples: 25_000,
      weight: 10_000,
    });
  });

  const drop = (key: keyof typeof metadata): UpdateFile => {
    const file = update();
    return { ...file, metadata: new Map([...file.metadata].filter(([k]) => k !== key)) };
  };
  const cases: [string, UpdateFile, string, string?][] = [
    ['another base', update({ base: 'c'.repeat(64) }), 'wrong_base'],
    ['no base', drop('base'), 'wrong_base'],
    ['another round', update({ round: 'run.1.2' }), 'metadata_mismatch'],
    ['another task', update({ task: 'x' }), 'metadata_mismatch'],
    ['full weights', update({ format: 'weights' }), 'metadata_mismatch'],
    ['no task', drop('task'), 'metadata_mismatch'],
    ...['0', '-1', '1.5', '1e3', '100001', '1000000000000', 'many', ''].map((samples): [string, UpdateFile, string] => [
      `samples ${samples}`,
      update({ samples }),
      'samples_out_of_range',
    ]),
    ['no samples', drop('samples'), 'samples_out_of_range'],
    ['a tensor too many', update({}, [...tensors, f32('z', 1)]), 'unknown_tensor', 'z'],
    ['a kept tensor', update({}, [...tensors, f32('steps', 1)]), 'unknown_tensor', 'steps'],
    ['a tensor too few', update({}, [tensors[0]!]), 'missing_tensor', 'bn.running_mean'],
    ['another shape', update({}, [f32('b', 1), tensors[1]!]), 'shape_mismatch', 'b'],
    ['another dtype', update({}, [{ ...tensors[0]!, dtype: 'I32' }, tensors[1]!]), 'dtype_mismatch', 'b'],
    ['NaN', update({}, [f32('b', 0, NaN), tensors[1]!]), 'non_finite', 'b'],
    [
      'infinity in a buffer',
      update({}, [tensors[0]!, f32('bn.running_mean', -Infinity)]),
      'non_finite',
      'bn.running_mean',
    ],
    ['a long update', update({}, [f32('b', 8, 8), tensors[1]!]), 'norm_exceeded'],
    ['off the grid', update({}, [tensors[0]!, f32('bn.running_mean', 500)]), 'grid_range'],
  ];
  it.each(cases)('refuses %s', (_, file, code, tensor) => {
    for (const size of [1, 3, Infinity]) {
      const refusal = admitUpdate(file, terms, size);
      expect(refusal).toMatchObject({ code, ...(tensor === undefined ? {} : { more: { tensor } }) });
    }
  });

  it('checks in the order of the table', () => {
    const allWrong = update({ base: 'x', round: 'x', samples: '0' }, [f32('z', NaN)]);
    expect(admitUpdate(allWrong, terms)).toMatchObject({ code: 'wrong_base' });
  });

  it('reads tensors whose bytes are not aligned', () => {
    const shifted = Buffer.concat([Buffer.alloc(1), tensors[0]!.data, Buffer.alloc(7)]).subarray(1, 9);
    const file = update({}, [{ ...tensors[0]!, data: shifted }, tensors[1]!]);
    expect(admitUpdate(file, terms)).toMatchObject({ ok: true, norm: 5 });
  });

  it('says which bases can be trained', () => {
    expect(checkTrainableBase(terms.base)).toBeUndefined();
    expect(checkTrainableBase([...terms.base, { name: 'h', dtype: 'F16', shape: [] }])).toMatchObject({
      code: 'dtype_mismatch',
      more: { tensor: 'h' },
    });
    for (const nothing of [
      { name: 'steps', dtype: 'I64', shape: [] },
      { name: 'w', dtype: 'F32', shape: [0, 4] },
    ])
      expect(checkTrainableBase([nothing])).toMatchObject({ code: 'dtype_mismatch' });
  });
});
