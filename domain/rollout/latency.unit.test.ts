/** Latency buckets and the quantiles read from them. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  bucketMicros,
  isLatencyBucket,
  LAST_LATENCY_BUCKET,
  latencyBucket,
  latencyQuantile,
  latencyTotal,
} from './latency.ts';

describe('latency buckets', () => {
  it('agree with the value of docs/design/rollout.md "Reports and counters"', () => {
    expect(latencyBucket(50_000)).toBe(541);
  });

  it('are ⌈ln x / ln γ⌉ wherever doubles can tell', () => {
    const gamma = Math.log(101 / 99);
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 3_600_000_000 }), (micros) => {
        const exact = Math.log(micros) / gamma;
        if (Math.abs(exact - Math.round(exact)) < 1e-9) return;
        expect(latencyBucket(micros)).toBe(Math.ceil(exact));
      }),
    );
  });

  it('stand for their values within 1 %, half a microsecond for rounding', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 20_000_000_000 }), (micros) => {
        const back = bucketMicros(latencyBucket(micros));
        expect(Math.abs(back - micros)).toBeLessThanOrEqual(micros * 0.01 + 0.5);
      }),
    );
  });

  it('have ends', () => {
    expect([latencyBucket(-5), latencyBucket(0), latencyBucket(1)]).toEqual([0, 0, 0]);
    expect(latencyBucket(Number.MAX_SAFE_INTEGER)).toBe(LAST_LATENCY_BUCKET);
    expect(() => latencyBucket(1.5)).toThrow(RangeError);
    expect(['0', '541', '1200'].every(isLatencyBucket)).toBe(true);
    expect(['', '01', '-1', '1201', '1e2', '99999'].some(isLatencyBucket)).toBe(false);
  });
});

describe('quantiles', () => {
  it('are those of the values, within the buckets’ 1 %', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 10_000_000 }), { minLength: 1, maxLength: 300 }),
        fc.constantFrom(50, 95, 99),
        (values, percent) => {
          const counts: Record<string, number> = {};
          for (const v of values) counts[latencyBucket(v)] = (counts[latencyBucket(v)] ?? 0) + 1;
          const sorted = values.toSorted((a, b) => a - b);
          const exact = sorted[Math.max(1, Math.ceil((percent * values.length) / 100)) - 1]!;
          expect(latencyTotal(counts)).toBe(values.length);
          expect(Math.abs(latencyQuantile(counts, percent)! - exact)).toBeLessThanOrEqual(exact * 0.01 + 0.5);
        },
      ),
    );
  });

  it('are nothing where nothing was counted', () => {
    expect(latencyQuantile({}, 95)).toBeUndefined();
    expect(latencyQuantile({ '541': 0 }, 95)).toBeUndefined();
  });
});
