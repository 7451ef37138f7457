/** The worked values of docs/design/judge.md "Worked values", by name, and what else that page computes in passing. */
import { describe, expect, it } from 'vitest';
import { lnG } from './comparison.ts';
import { drawnAtLeast, uniformOf } from './drawn.ts';
import { deviceLimit, lnA } from './limit.ts';
import { lnAtMost } from './tails.ts';

const TOLERATED = 1.1;

describe('worked values', () => {
  it.each([
    ['ln G(4, 0, 0.1)', lnG(4, 0, 0.1, TOLERATED), 6.948246],
    ['ln G(5, 0, 0.1)', lnG(5, 0, 0.1, TOLERATED), 8.98408],
    ['ln G(7, 4, 0.1)', lnG(7, 4, 0.1, TOLERATED), 7.298528],
    ['ln G(8, 4, 0.1)', lnG(8, 4, 0.1, TOLERATED), 9.009799],
    ['ln G(200, 1800, 0.1)', lnG(200, 1800, 0.1, TOLERATED), -11.178016],
    ['ln G(400, 1800, 0.1)', lnG(400, 1800, 0.1, TOLERATED), 47.760605],
    ['ln A 2 of 2, limit 0.01', lnA(2, 2, 0.01), 6.262137],
    ['ln A 3 of 3, limit 0.01', lnA(3, 3, 0.01), 10.135188],
    ['ln A 10 of 100, limit 0.05', lnA(10, 100, 0.05), 0.822507],
    ['ln A 18 of 100, limit 0.05', lnA(18, 100, 0.05), 9.310676],
  ])('%s', (_name, value, expected) => {
    expect(Math.abs(value - expected)).toBeLessThan(1e-6);
  });

  it.each([
    [0.05, 0.264],
    [0.03, 0.12],
  ])('a rate of %d of predictions is a limit on devices', (rate, limit) => {
    expect(deviceLimit(rate, 20, 2)).toBeCloseTo(limit, 3);
  });

  it('3,161 devices without a crash show, at 0.05/28, that it is rarer than 0.2 %', () => {
    const needed = Math.log(0.05 / 28);
    expect(lnAtMost(0, 3161, 0.002)).toBeLessThanOrEqual(needed);
    expect(lnAtMost(0, 3160, 0.002)).toBeGreaterThan(needed);
  });

  it('the bit is bad as often at 20 as at 57 or 2,000 predictions', () => {
    // P(at least 2 of n fail at 1 %), weighted by how many fail: the drawn bit gives the same at every n.
    const rate = 0.01;
    for (const n of [20, 57, 2000]) {
      let p = (1 - rate) ** n;
      let bad = 0;
      for (let f = 0; f <= Math.min(n, 200); f += 1) {
        bad += p * drawnAtLeast(n, f, 20, 2);
        p *= ((n - f) / (f + 1)) * (rate / (1 - rate));
      }
      expect(bad).toBeCloseTo(0.016859, 6);
    }
  });

  it('a device draws the first word of SHA-256 over rollout, stage, metric and device', () => {
    expect(uniformOf('42', 1, 'errors', 'd-1')).toBe(0x1009fa79 / 2 ** 32);
    expect(uniformOf('42', 1, 'errors', 'd-1')).not.toBe(uniformOf('42', 2, 'errors', 'd-1'));
  });
});
