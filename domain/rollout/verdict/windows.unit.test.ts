/** When windows open and end, and θ from their quarter hours. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { drawnAtLeast } from './drawn.ts';
import { badWrong, METRICS } from './metrics.ts';
import { isProofLook } from './proof.ts';
import { segmentsOf, testedSegments } from './segments.ts';
import { stratumOf, tallyOf, without } from './strata.ts';
import {
  beginsAnew,
  downloadBit,
  isAged,
  isCrashBit,
  isSilent,
  lateFrom,
  sampleBit,
  silenceAfter,
  toldSlots,
  watchedSlots,
} from './windows.ts';

const HOUR = 3_600_000;
const STAGE = { percent: 10, ramp: '2h', min_bake: '24h', max_bake: '48h' };
const ends = { by: 'samples', of: 'predictions', size: 20 } as const;

describe('windows', () => {
  it('open in step: as large a share of control as of canary that is active', () => {
    expect(watchedSlots(250, 1_000, { told: 200, active: 100 })).toBe(1_250);
    expect(watchedSlots(1_000, 1_000, { told: 0, active: 0 })).toBe(0);
    expect(watchedSlots(1_000, 1_000, { told: 5, active: 5 })).toBe(10_000);
    expect(toldSlots(250, 1_000)).toBe(2_500);
    expect(lateFrom(STAGE)).toBe(14 * HOUR);
  });

  it('over samples end with the size, and draw', () => {
    const never = (): number => {
      throw new Error('nothing is drawn where nothing is open');
    };
    expect(sampleBit(ends, 19, 19, 2, never)).toBeUndefined();
    expect(sampleBit(ends, 500, 1, 2, never)).toBe(false);
    expect(sampleBit(ends, 20, 2, 2, never)).toBe(true);
    const chance = drawnAtLeast(40, 3, 20, 2);
    expect(sampleBit(ends, 40, 3, 2, () => chance - 1e-9)).toBe(true);
    expect(sampleBit(ends, 40, 3, 2, () => chance)).toBe(false);
  });

  it('mean the same whatever a report jumps to: the mean over what was seen is that of 20', () => {
    fc.assert(
      fc.property(fc.integer({ min: 21, max: 300 }), fc.nat({ max: 1000 }), (seen, part) => {
        const failed = Math.round((seen * part) / 1000);
        // One sample less, drawn away at random, changes nothing.
        const kept = (failed / seen) * drawnAtLeast(seen - 1, Math.max(0, failed - 1), 20, 2);
        const other = ((seen - failed) / seen) * (failed < seen ? drawnAtLeast(seen - 1, failed, 20, 2) : 0);
        expect(drawnAtLeast(seen, failed, 20, 2)).toBeCloseTo(kept + other, 9);
        if (failed > 0) {
          expect(drawnAtLeast(seen, failed, 20, 2)).toBeGreaterThan(drawnAtLeast(seen, failed - 1, 20, 2) - 1e-12);
        }
      }),
    );
  });

  it('of events', () => {
    expect([isCrashBit(1, 0, 1), isCrashBit(0, 1, 5), isCrashBit(1, 0, 0), isCrashBit(0, 0, 9)]).toEqual([
      true,
      true,
      false,
      false,
    ]);
    expect(downloadBit('ok', 0, 99, 10)).toBe(false);
    expect(downloadBit('failed', 0, 1, 10)).toBe(true);
    expect([downloadBit(null, 0, 9, 10), downloadBit(null, 0, 10, 10)]).toEqual([undefined, true]);
    expect(silenceAfter('6h', 5 * 60_000)).toBe(6 * HOUR);
    expect(silenceAfter('6h', 4 * HOUR)).toBe(12 * HOUR);
    expect([isSilent(0, 10, 10), isSilent(1, 10, 10)]).toEqual([true, false]);
    expect([isAged(0, 10, 10), isAged(1, 10, 10)]).toEqual([true, false]);
  });

  it('begin anew after a change of buckets or a long pause', () => {
    expect(beginsAnew({ bucketsChanged: true, pausedMs: 0 }, 10)).toBe(true);
    expect(beginsAnew({ bucketsChanged: false, pausedMs: 10 }, 10)).toBe(false);
    expect(beginsAnew({ bucketsChanged: false, pausedMs: 11 }, 10)).toBe(true);
  });

  it('prove at two looks of a stage only', () => {
    const proofs = [25, 26, 27, 49, 50, 51].map((h) => isProofLook(STAGE, h * HOUR, (h - 1) * HOUR));
    expect(proofs).toEqual([false, true, false, false, true, false]);
    expect(isProofLook(STAGE, 60 * HOUR, 20 * HOUR)).toBe(true);
  });
});

describe('θ', () => {
  it('is the mean share of the quarter hours of the bad windows', () => {
    const strata = [
      { canary: 10, control: 90, x: 2, y: 1 },
      { canary: 50, control: 50, x: 0, y: 1 },
      { canary: 999, control: 1, x: 0, y: 0 },
    ];
    expect(tallyOf(strata)).toEqual({ x: 2, y: 2, theta: 3 * 100_000 + 500_000 });
    expect(tallyOf([])).toEqual({ x: 0, y: 0, theta: 0 });
    expect([0, 899_999, 900_000].map(stratumOf)).toEqual([0, 0, 1]);
    expect(without(strata[0]!, { canary: 4, control: 40, x: 2, y: 0 })).toEqual({ canary: 6, control: 50, x: 0, y: 1 });
  });
});

describe('segments', () => {
  const leaf = { platform: 'ios', osMajor: '14', app: '3.2', region: 'eu' };
  it('are named by attribute; what is not said is in none', () => {
    expect(segmentsOf(leaf)).toEqual(['platform:ios', 'os:ios 14', 'app:3.2', 'region:eu']);
    expect(segmentsOf({ ...leaf, platform: null, app: null })).toEqual(['region:eu']);
  });

  it('are tested from 20 expected canary devices on, at most 50 values an attribute', () => {
    expect(testedSegments([{ ...leaf, devices: 200 }], 1_000)).toHaveLength(4);
    expect(testedSegments([{ ...leaf, devices: 199 }], 1_000)).toEqual([]);
    const many = Array.from({ length: 70 }, (_, i) => ({ ...leaf, region: `r${i}`, devices: 1_000 + i }));
    const regions = testedSegments(many, 1_000).filter((s) => s.startsWith('region:'));
    expect(regions).toHaveLength(50);
    expect(regions[0]).toBe('region:r69');
  });
});

describe('the table', () => {
  it('has a limit on errors that is a rate of 5 %, and nothing blames a version for the way to the device', () => {
    expect(METRICS.filter((row) => !row.blames).map((row) => row.name)).toEqual(['download', 'install']);
    expect(METRICS.find((row) => row.name === 'errors')?.limit).toBe(0.26416);
  });

  it.each([
    [930_000, 4],
    [880_000, 5],
    [850_000, 6],
  ])('drift with an accuracy of %i millionths is bad from %i wrong on', (accuracy, wrong) => {
    expect(badWrong(20, accuracy)).toBe(wrong);
  });
});
