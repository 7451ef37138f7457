/** The judge's arithmetic agrees with the second implementation to 1e-6 on a thousand random judgements. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { lnG } from '../../domain/rollout/verdict/comparison.ts';
import { drawnAtLeast } from '../../domain/rollout/verdict/drawn.ts';
import { lnA } from '../../domain/rollout/verdict/limit.ts';
import { lnAtLeast, lnAtMost } from '../../domain/rollout/verdict/tails.ts';
import { asNumber, decimal, exactA, exactAtMost, exactDrawn, exactG, ln } from './exact.ts';

const RUNS = { numRuns: 1000 };
const share = fc.integer({ min: 1, max: 999_999 }).map((n) => n / 1e6);
const near = (ours: number, exact: number): void => {
  if (ours === exact) return;
  expect(Math.abs(ours - exact)).toBeLessThan(1e-6);
};

describe('a thousand random judgements', () => {
  it('G', () => {
    const tolerated = fc.integer({ min: 100, max: 200 }).map((n) => n / 100);
    const bits = fc.nat({ max: 60 });
    fc.assert(
      fc.property(bits, bits, share, tolerated, (x, y, theta, m) => {
        near(lnG(x, y, theta, m), ln(exactG(x, y, decimal(theta), decimal(m))));
      }),
      RUNS,
    );
  });

  it('A', () => {
    const limit = fc.integer({ min: 100, max: 700_000 }).map((n) => n / 1e6);
    fc.assert(
      fc.property(fc.nat({ max: 150 }), fc.nat({ max: 150 }), limit, (x, good, p) => {
        near(lnA(x, x + good, p), ln(exactA(x, x + good, decimal(p))));
      }),
      RUNS,
    );
  });

  it('both tails', () => {
    fc.assert(
      fc.property(fc.nat({ max: 160 }), fc.integer({ min: 1, max: 150 }), share, (x, n, p) => {
        const exact = exactAtMost(x, n, decimal(p));
        near(lnAtMost(x, n, p), ln(exact));
        const above = { num: exact.den - exact.num, den: exact.den };
        near(lnAtLeast(x + 1, n, p), ln(above));
      }),
      RUNS,
    );
  });

  it('the drawn bit', () => {
    const sizes = fc.constantFrom([20, 2], [50, 7], [20, 4]);
    fc.assert(
      fc.property(sizes, fc.nat({ max: 400 }), fc.nat({ max: 1000 }), ([size, bad], more, part) => {
        const seen = size + more;
        const failed = Math.round((seen * part) / 1000);
        near(drawnAtLeast(seen, failed, size, bad), asNumber(exactDrawn(seen, failed, size, bad)));
      }),
      RUNS,
    );
  });
});

describe('sizes of real fleets', () => {
  it('keep a tail of ten million devices', () => {
    // Normal to six digits here: (x − np)/√(npq) = −3.
    const [n, p] = [10_000_000, 0.5];
    const x = Math.floor(n * p - 3 * Math.sqrt(n * p * (1 - p)));
    expect(Math.exp(lnAtMost(x, n, p))).toBeCloseTo(0.00135, 5);
    expect(lnAtMost(0, n, 1e-9)).toBeCloseTo(-0.01, 9);
  });

  it('draw from two billion predictions', () => {
    expect(drawnAtLeast(2e9, 2e7, 20, 2)).toBeCloseTo(0.016859, 6);
    expect(drawnAtLeast(2e9, 2e9 - 5, 20, 2)).toBe(1);
    expect(drawnAtLeast(2e9, 1, 20, 2)).toBe(0);
  });
});
