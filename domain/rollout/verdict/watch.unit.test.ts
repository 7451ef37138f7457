/** What a report carries to the windows of its device. */
import { describe, expect, it } from 'vitest';
import { bucketMicros } from '../latency.ts';
import { deviceLeaf } from './leaf.ts';
import { METRICS } from './metrics.ts';
import { slowFrom, watchReport, watchTold, type Place, type WatchedStage } from './watch.ts';

const STAGE: WatchedStage = {
  rolloutId: 7,
  stage: 1,
  evidenceStage: 2,
  to: 1_000,
  rampMs: 1_000,
  minBakeMs: 9,
  silenceAfterMs: 500,
  measured: METRICS.map((row) => row.name),
  frozenQ: { ios: 50_000 },
  slower: 1.1,
  accuracy: 930_000,
};
const LEAF = { platform: 'ios', osMajor: '17', app: '3.2', region: 'eu' };
const place = (more: Partial<Place> = {}): Place => ({
  arm: 'control',
  slot: 0,
  leaf: LEAF,
  width: 500,
  clockMs: 0,
  ...more,
});
const ALL = { told: 10, active: 10 };

describe('a report', () => {
  it('of control opens windows in step, goes on with open ones, and is not looked at where there can be none', () => {
    expect(watchReport(STAGE, place({ slot: 2_499 }), { told: 10, active: 5 })?.opens).toContain('errors');
    expect(watchReport(STAGE, place({ slot: 2_500 }), { told: 10, active: 5 })?.opens).toEqual([]);
    expect(watchReport(STAGE, place({ slot: 4_999 }), { told: 0, active: 0 })?.opens).toEqual([]);
    expect(watchReport(STAGE, place({ slot: 5_000 }), ALL)).toBeUndefined();
    // Counted before the marks that say they were told.
    expect(watchReport(STAGE, place({ slot: 4_999 }), { told: 10, active: 30 })?.opens).toContain('errors');
  });

  it('opens what was measured; crash always, since it says who is active; install for canary only', () => {
    const canary = place({ arm: 'canary', slot: 9_999 });
    expect(watchReport(STAGE, canary, ALL)?.opens).toEqual(['errors', 'latency_p95', 'crash', 'drift', 'install']);
    expect(watchReport({ ...STAGE, measured: [] }, canary, ALL)?.opens).toEqual(['crash', 'install']);
    expect(watchReport({ ...STAGE, measured: ['errors'] }, place(), ALL)?.opens).toEqual(['errors', 'crash']);
    const android = place({ arm: 'canary', leaf: { ...LEAF, platform: 'android' } });
    expect(watchReport({ ...STAGE, accuracy: null }, android, ALL)).toMatchObject({
      opens: ['errors', 'crash', 'install'],
      slow_from: null,
      bad_wrong: null,
    });
  });

  it('opens second windows from half the least bake on', () => {
    const at = (clockMs: number) => watchReport(STAGE, place({ arm: 'canary', clockMs }), ALL)?.late;
    expect(at(1_004)).toEqual([]);
    expect(at(1_005)).toEqual(['errors_late', 'latency_late']);
  });

  it('is slow above q, of canary above a multiple of it', () => {
    const of = (arm: 'canary' | 'control') => watchReport(STAGE, place({ arm }), ALL)?.slow_from ?? -1;
    for (const [arm, limit] of [
      ['control', 50_000],
      ['canary', 55_000],
    ] as const) {
      expect(bucketMicros(of(arm))).toBeGreaterThan(limit);
      expect(bucketMicros(of(arm) - 1)).toBeLessThanOrEqual(limit + 1e-6);
    }
    expect(slowFrom(0)).toBe(0);
    expect(slowFrom(Number.MAX_SAFE_INTEGER)).toBe(1_201);
  });
});

describe('a version question', () => {
  it('opens silence for canary and as large a share of control as is told', () => {
    expect(watchTold(STAGE, place({ arm: 'canary', slot: 9_999 }))).toMatchObject({
      rollout: 7,
      stage: 1,
      evidence_stage: 2,
    });
    expect(watchTold(STAGE, place({ slot: 4_999 }))?.segments).toEqual([
      'platform:ios',
      'os:ios 17',
      'app:3.2',
      'region:eu',
    ]);
    expect(watchTold(STAGE, place({ slot: 5_000 }))).toBeUndefined();
  });
});

describe('a leaf', () => {
  it.each([
    [{ platform: 'iOS', osVersion: '17.4.1', appVersion: '3.2.1', region: 'EU' }, LEAF],
    [
      { platform: 'ios', osVersion: 'iOS 17.4', appVersion: 'v3', region: 'eu' },
      { ...LEAF, app: '3.0' },
    ],
    [{ platform: null }, { platform: null, osMajor: null, app: null, region: null }],
    [
      { platform: 'a b', osVersion: 'Mozilla/5.0', appVersion: 'nightly', region: 'x'.repeat(21) },
      { platform: null, osMajor: null, app: null, region: null },
    ],
    [
      { platform: 'ios', osVersion: '17', appVersion: '03.02-rc1', region: 'a b' },
      { ...LEAF, region: null },
    ],
  ])('of %j', (device, leaf) => {
    expect(deviceLeaf(device)).toEqual(leaf);
  });
});
