/** Buckets agree with their golden values, and cohorts only grow. */
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { bucketOf, hashWords, isInside, slotOf, widthAt, BUCKETS } from './assignment.ts';

type Row = readonly [modelId: string, seed: string, deviceId: string, bucket: number, slot: number];
// Made once with another language's SHA-256; the SDKs' tests read the same file.
const golden = JSON.parse(readFileSync(new URL('./golden/assignment.json', import.meta.url), 'utf8')) as {
  readonly rows: readonly Row[];
};

describe('buckets', () => {
  it('agree with 1,000 golden rows', () => {
    expect(golden.rows).toHaveLength(1000);
    for (const [model, seed, device, bucket, slot] of golden.rows) {
      expect([bucketOf(model, seed, device), slotOf(model, seed, device)], device).toEqual([bucket, slot]);
    }
  });

  it.each([
    ['m-1', '1', 'd-1', 6786, 535],
    ['m-1', '42', 'd-1', 3565, 8088],
    ['m-1', '1', 'ä-9', 1008, 5746],
  ] as const)('are those of docs/design/rollout.md "Buckets": %s:%s:%s', (model, seed, device, bucket, slot) => {
    expect(bucketOf(model, seed, device)).toBe(bucket);
    expect(slotOf(model, seed, device)).toBe(slot);
  });

  it('are the first word of the hash modulo 10,000 (docs/design/rollout.md "Buckets")', () => {
    const [word] = hashWords('fraud-detector:device-123');
    expect(word).toBe(0x771b8783);
    expect(word % BUCKETS).toBe(2867);
    expect(Math.floor((word % BUCKETS) / 100)).toBe(28);
  });

  it('know the SDKs’ own hash for experiments (docs/design/rollout.md "Buckets")', () => {
    expect(hashWords('exp-1:device-123')[0]).toBe(3_372_478_752);
    expect(hashWords('exp-1:device-123')[0] % 100).toBe(52);
    expect(hashWords('exp-1:d-1')[0] % 100).toBe(84);
    expect(hashWords('exp-1:d-2')[0] % 100).toBe(10);
  });

  it('spread evenly: no tenth of the buckets is far from a tenth of the devices', () => {
    const tenths = Array.from({ length: 10 }, () => 0);
    for (const [, , , bucket] of golden.rows) tenths[Math.floor(bucket / 1000)]! += 1;
    for (const n of tenths) expect(n).toBeGreaterThan(60);
  });
});

describe('width', () => {
  it('starts gently (docs/design/rollout.md "Ramp")', () => {
    const at = (s: number) => widthAt({ from: 0, to: 1000, rampMs: 7_200_000, clockMs: s * 1000 });
    expect([0, 360, 720, 3600, 7199, 7200, 9999].map(at)).toEqual([0, 2, 10, 250, 999, 1000, 1000]);
  });

  it('is the whole stage at once without a ramp', () => {
    expect(widthAt({ from: 0, to: 2500, rampMs: 0, clockMs: 0 })).toBe(2500);
  });

  it('is exact where the products pass 2^53: one millisecond before the end it is not there yet', () => {
    const rampMs = 30 * 86_400_000;
    expect(widthAt({ from: 0, to: 10_000, rampMs, clockMs: rampMs - 1 })).toBe(9_999);
    expect(widthAt({ from: 0, to: 10_000, rampMs, clockMs: rampMs / 2 })).toBe(2_500);
    expect(widthAt({ from: 0, to: 10_000, rampMs, clockMs: rampMs / 2 - 1 })).toBe(2_499);
  });

  it.each([
    [36, 66_666_662, 9],
    [104, 66_666_662, 26],
    [236, 51_840_002, 59],
  ])('%i buckets in %i ms: half way is a quarter, where doubles fall one short', (to, rampMs, quarter) => {
    expect(Math.floor((to * (rampMs / 2) ** 2) / rampMs ** 2)).toBe(quarter - 1);
    expect(widthAt({ from: 0, to, rampMs, clockMs: rampMs / 2 })).toBe(quarter);
  });

  it('never falls while the clock runs, and ends at `to`', () => {
    const stage = fc.record({
      from: fc.integer({ min: 0, max: 10_000 }),
      more: fc.integer({ min: 0, max: 10_000 }),
      rampMs: fc.integer({ min: 0, max: 90 * 86_400_000 }),
    });
    const ms = fc.integer({ min: 0, max: 100 * 86_400_000 });
    fc.assert(
      fc.property(stage, ms, ms, ({ from, more, rampMs }, a, b) => {
        const to = Math.min(BUCKETS, from + more);
        const width = (clockMs: number) => widthAt({ from, to, rampMs, clockMs });
        const [early, late] = [width(Math.min(a, b)), width(Math.max(a, b))];
        expect(early).toBeLessThanOrEqual(late);
        expect(early).toBeGreaterThanOrEqual(from === to || rampMs > 0 ? from : to);
        expect(width(rampMs)).toBe(to);
        expect(Number.isInteger(early)).toBe(true);
      }),
    );
  });
});

describe('ranges', () => {
  const bucket = fc.integer({ min: 0, max: BUCKETS - 1 });
  const width = fc.integer({ min: 0, max: BUCKETS });

  it('only add devices when the width grows: stage k+1 contains stage k', () => {
    fc.assert(
      fc.property(bucket, bucket, width, width, (b, lo, w1, w2) => {
        if (isInside(b, lo, Math.min(w1, w2))) expect(isInside(b, lo, Math.max(w1, w2))).toBe(true);
      }),
    );
  });

  it('hold exactly `width` buckets, also where they wrap', () => {
    for (const [lo, w] of [
      [0, 0],
      [0, 1000],
      [9_500, 1000],
      [9_999, 10_000],
    ] as const) {
      let inside = 0;
      for (let b = 0; b < BUCKETS; b += 1) if (isInside(b, lo, w)) inside += 1;
      expect(inside).toBe(w);
    }
    expect(isInside(9_999, 9_500, 1000)).toBe(true);
    expect(isInside(499, 9_500, 1000)).toBe(true);
    expect(isInside(500, 9_500, 1000)).toBe(false);
  });
});
