/** Norms, grid sums and bounds against the values of docs/design/learning.md "Exact sum". */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { acceptedRoot } from './acceptedRoot.ts';
import { accumulate, gridFor, limitFor, sgdStep, weightOf } from './grid.ts';
import { drawOf, leasesNeeded, planSeed } from './leases.ts';
import { poolMetrics, readMetrics } from './metrics.ts';
import { isBuffer, squares } from './norm.ts';

const hex64 = (x: number) =>
  Buffer.from(new Float64Array([x]).buffer)
    .reverse()
    .toString('hex');
const hex32 = (x: number) =>
  Buffer.from(new Float32Array([x]).buffer)
    .reverse()
    .toString('hex');

describe('norm', () => {
  it('has the value of docs/design/learning.md "Admission", which a sequential loop misses', () => {
    const x = Float32Array.from({ length: 4097 }, (_, i) => ((37 * i) % 101) / 101);
    expect(hex64(squares(x).sum)).toBe('409503bf90fc3dd0');
    expect(hex64(x.reduce((s, v) => s + v * v, 0)).slice(-4)).toBe('3dea');
  });

  it('pads the tail of four lanes with zeros', () => {
    for (const n of [0, 1, 2, 3, 4, 5, 4095, 4096, 4098, 8193]) {
      const x = Float32Array.from({ length: n }, (_, i) => Math.fround(Math.sin(i)));
      const padded = new Float32Array(Math.ceil(n / 4) * 4);
      padded.set(x);
      expect(squares(x)).toEqual(squares(padded));
    }
  });

  it('is finite exactly when every element is', () => {
    expect(squares(new Float32Array(5000).fill(3.4e38)).sum).toBeLessThan(Infinity);
    for (const bad of [NaN, Infinity, -Infinity]) {
      for (const at of [0, 3, 4096, 4998, 4999]) {
        const x = new Float32Array(5000);
        x[at] = bad;
        expect(Number.isFinite(squares(x).sum)).toBe(false);
      }
    }
  });

  it('knows buffers by name', () => {
    expect(['running_mean', 'bn.running_var'].every(isBuffer)).toBe(true);
    expect(['weight', 'notrunning_mean', 'running_mean.weight'].some(isBuffer)).toBe(false);
  });
});

describe('grid', () => {
  it('chooses k, L and q as the examples of docs/design/learning.md "Exact sum"', () => {
    const loud = limitFor(10_000);
    expect(loud).toBe(2 ** 18);
    expect([10, 100, 1000, 10_000].map((n) => gridFor(n, loud).q)).toEqual([31, 28, 25, 21]);
    expect([10, 100, 1000, 10_000].map((n) => gridFor(n, 600 * 0.5).q)).toEqual([40, 37, 34, 30]);
    expect(gridFor(3, 250 * Math.fround(0.7))).toEqual({ k: 2, L: 256, q: 40 });
    expect(gridFor(1, 0)).toEqual({ k: 2, L: 0, q: 40 });
    expect(gridFor(5, 256)).toMatchObject({ k: 3, L: 256 });
    expect(gridFor(4, 256.00001)).toMatchObject({ k: 2, L: 512 });
    expect(gridFor(4, 1e-45).q).toBe(40);
  });

  it('gives 0 where a plain sum depends on order', () => {
    const d = [8, Math.fround(1e-9), -8];
    const w = [10_000, 1, 10_000];
    const plain = (order: number[]) => order.reduce((s, i) => s + w[i]! * d[i]!, 0);
    expect([plain([0, 1, 2]), plain([0, 2, 1])]).toEqual(
      [1.0040821507573128e-9, 9.999999717180685e-10].map((x) => expect.closeTo(x, 20)),
    );
    for (const order of [
      [0, 1, 2],
      [0, 2, 1],
      [1, 0, 2],
      [2, 1, 0],
    ]) {
      const sum = new Float64Array(1);
      for (const i of order) accumulate(sum, Float32Array.of(d[i]!), w[i]!, 28);
      expect(sum[0]).toBe(0);
    }
  });

  it('is exact: any order and any split give the same bytes, equal to the integer sum', () => {
    const update = fc.record({
      weight: fc.integer({ min: 1, max: 10_000 }),
      d: fc.array(fc.float({ noNaN: true, noDefaultInfinity: true, min: -16, max: 16 }), {
        minLength: 5,
        maxLength: 5,
      }),
    });
    const rounds = fc.array(update, { minLength: 1, maxLength: 24 }).chain((updates) =>
      fc.record({
        updates: fc.constant(updates),
        order: fc.shuffledSubarray([...updates.keys()], { minLength: updates.length, maxLength: updates.length }),
        shard: fc.array(fc.nat(3), { minLength: updates.length, maxLength: updates.length }),
      }),
    );
    fc.assert(
      fc.property(rounds, ({ updates, order, shard }) => {
        const largest = Math.max(...updates.map((u) => u.weight * Math.max(...u.d.map(Math.abs))));
        const { q } = gridFor(updates.length, largest);
        const straight = new Float64Array(5);
        for (const u of updates) accumulate(straight, Float32Array.from(u.d), u.weight, q);
        const shards = Array.from({ length: 4 }, () => new Float64Array(5));
        for (const i of order) accumulate(shards[shard[i]!]!, Float32Array.from(updates[i]!.d), updates[i]!.weight, q);
        const merged = shards.reduce((a, b) => a.map((v, i) => v + b[i]!));
        expect([...merged].map(hex64)).toEqual([...straight].map(hex64));
        straight.forEach((s, i) => {
          const steps = updates.reduce((n, u) => n + BigInt(nearest(u.weight * u.d[i]! * 2 ** q)), 0n);
          expect(BigInt(s * 2 ** q)).toBe(steps);
        });
      }),
    );
  });

  it('rounds ties to even, like the page', () => {
    const sum = new Float64Array(1);
    accumulate(sum, Float32Array.of(-5 * 2 ** -29), 1, 28);
    expect(sum[0]! * 2 ** 28).toBe(-2);
  });

  it('keeps the mean in float64 until the step', () => {
    expect(hex32(sgdStep(1, 1.875, 7, 1))).toBe('3fa24925');
    expect(hex32(Math.fround(1 + Math.fround(1.875 / 7)))).toBe('3fa24924');
    const three = [0.5, -0.125, 0.25].reduce((x, d) => sgdStep(x, d, 1, 1), 1);
    expect(hex32(three)).toBe('3fd00000');
  });

  it('caps weights', () => {
    expect(weightOf(25_000, { weight: 'samples', weight_cap: 10_000 })).toBe(10_000);
    expect(weightOf(25_000, { weight: 'uniform', weight_cap: 10_000 })).toBe(1);
  });
});

/** Nearest whole number, ties to even. */
function nearest(x: number): number {
  const down = Math.floor(x);
  const rest = x - down;
  if (rest !== 0.5) return rest < 0.5 ? down : down + 1;
  return down % 2 === 0 ? down : down + 1;
}

describe('accepted root', () => {
  it('does not depend on the order, and changes with each part', () => {
    const update = (i: number) => ({ updateSha: `${i}`.repeat(64), pseudonymHex: 'ab'.repeat(16), weight: i });
    const all = [update(3), update(1), update(2)];
    const { root, updates } = acceptedRoot(all);
    expect(acceptedRoot([...all].reverse()).root).toBe(root);
    expect(updates.map((u) => u.weight)).toEqual([1, 2, 3]);
    expect(acceptedRoot([{ ...all[0]!, weight: 4 }, all[1]!, all[2]!]).root).not.toBe(root);
    expect(acceptedRoot([]).root).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
  });
});

describe('leases', () => {
  it('asks as many devices as the examples of docs/design/learning.md "Devices asked for and seeds"', () => {
    expect([1, 10, 100, 1000].map((goal) => leasesNeeded(goal, 0.1))).toEqual([2, 14, 120, 1138]);
    expect([0.06, 0.3].map((dropout) => leasesNeeded(100, dropout))).toEqual([113, 162]);
    expect(leasesNeeded(7, 0)).toBe(7);
    expect(leasesNeeded(10, 0.95)).toBe(20);
  });

  it('draws and seeds as the vectors', () => {
    const seed = '0'.repeat(64);
    expect(['device-1', 'device-2'].map((d) => drawOf(seed, 1, 1, d))).toEqual([1695636260, 188253577]);
    expect(planSeed(seed, 1, 1, 'device-1')).toBe('9e461925d9570537fed09a2c2798c71b3095e65d92b4e2b70a2cfe170d17592d');
  });
});

describe('metrics', () => {
  const read = (value: unknown) => readMetrics(JSON.stringify(value), ['loss', 'accuracy'], 1000);
  it('keeps known sums and drops the rest, never refusing', () => {
    expect(read({ n: 10, loss_sum: 2.5, correct: 9, auroc: 0.9 })).toEqual({ n: 10, loss_sum: 2.5, correct: 9 });
    expect(read({ n: 10, loss_sum: 'high', correct: 11 })).toEqual({ n: 10, loss_sum: null, correct: null });
    for (const none of [{}, null, [], 7, { n: 0 }, { n: 1.5 }, { n: 1001 }]) expect(read(none)).toBeNull();
    expect(readMetrics('{', ['loss'], 10)).toBeNull();
    expect(readMetrics(undefined, ['loss'], 10)).toBeNull();
    expect(readMetrics('{"n":1,"loss_sum":1,"correct":1}', ['loss'], 10)).toEqual({ n: 1, loss_sum: 1, correct: null });
  });

  it('pools sums, not means', () => {
    expect(
      poolMetrics([read({ n: 1, loss_sum: 1, correct: 1 }), null, read({ n: 99, loss_sum: 0, correct: 0 })]),
    ).toEqual({
      n: 100,
      loss: 0.01,
      accuracy: 0.01,
    });
    expect(poolMetrics([read({ n: 10, correct: 5 }), read({ n: 10, loss_sum: 4 })])).toEqual({
      n: 20,
      loss: 0.4,
      accuracy: 0.5,
    });
    expect(poolMetrics([])).toEqual({ n: 0, loss: null, accuracy: null });
  });
});
