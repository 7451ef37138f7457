/**
 * Goals of the judge at counts that a unit test can pay for, and each planted fault on seeds that show it. All seeds: `node --import tsx
 * bench/rollout.ts`, which CI runs, and `rollout.slow.unit.test.ts`.
 */
import { describe, expect, it } from 'vitest';
import { FAULTS, type Fault } from './faults.ts';
import { GOALS } from './goals.ts';

const goalOf = (text: string) => GOALS.find((goal) => goal.name.includes(text))!;
const upTo = (n: number) => Array.from({ length: n }, (_, i) => i + 1);

describe('without a fault', () => {
  it.each([
    ['equal versions, hostile mix', upTo(7)],
    ['called proven', upTo(7)],
    ['2,000 devices', upTo(10)],
    ['bricked', upTo(2)],
    ['outage of 30 % at 3 h, ramp 0s, stage 1', upTo(2)],
    ['outage of 30 % at 1 h, ramp 2h, stage 5', upTo(2)],
    ['a quarter as much', upTo(1)],
    ['installs fail', upTo(2)],
    ['0.85 in the field', upTo(2)],
    ['restart every few', upTo(1)],
    ['crash loop', upTo(10)],
    ['200 devices, crash', upTo(20)],
    ['six hours without telemetry', upTo(2)],
    ['telemetry of control', upTo(2)],
  ])(
    '%s',
    (name, seeds) => {
      for (const seed of seeds) {
        const { ok, forged, text } = goalOf(name).run(seed);
        expect({ ok, forged }, `seed ${seed}: ${text}`).toEqual({ ok: true, forged: false });
      }
    },
    120_000,
  );

  it('the same seed shows the same', () => {
    expect(goalOf('crash loop').run(3)).toEqual(goalOf('crash loop').run(3));
  });
});

/** Where each fault is seen: the goal, and a seed of it. */
const SEEN: Readonly<Record<Fault, readonly [goal: string, seed: number]>> = {
  'design-theta': ['hostile mix', 7],
  'plain-share': ['a quarter as much', 1],
  'open-at-contact': ['hostile mix', 30],
  'a-rolls-back': ['outage of 30 % at 1 h, ramp 2h, stage 5', 1],
  'no-stages': ['called proven', 7],
  'no-attribution': ['2,000 devices', 1],
  'fallen-counter': ['crash loop', 1],
};

describe('a planted fault makes a goal fail', () => {
  it.each(Object.keys(FAULTS) as Fault[])(
    '%s',
    (fault) => {
      const [name, seed] = SEEN[fault];
      expect(goalOf(name).run(seed, { fault }).ok).toBe(false);
      expect(goalOf(name).run(seed).ok).toBe(true);
      // A fleet of 100,000 shows one of them.
    },
    120_000,
  );
});
