/** When a rule convicts, acquits, or has too little to say. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decode } from '../events/codec.ts';
import type { ArmCounters, RolloutSpec, Rule, SetAside } from '../events/rollout.ts';
import { latencyBucket } from './latency.ts';
import { emptyArm, specOf } from './pointer.fixture.ts';
import { judge, policySha, recheck } from './thresholds.ts';

const errors: Rule = { metric: 'error_rate', op: '>', value: 0.05, min_predictions: 200, min_devices: 10 };
const latency: Rule = { metric: 'latency_p95', op: '>', value: 50, min_predictions: 100, min_devices: 10 };
const downloads: Rule = { metric: 'download_failure_rate', op: '>', value: 0.2, min_predictions: 10, min_devices: 10 };

/** Stage 0 of the fixture ramps 10 s and bakes 10 to 20 s. */
const look = (
  rules: readonly Rule[],
  canary: Partial<ArmCounters>,
  clockMs: number,
  control: Partial<ArmCounters> = {},
  setAside: SetAside | null = null,
) => {
  const spec: RolloutSpec = specOf('1.1.0', { policy: { rules: [...rules] } });
  const counters = { canary: { ...emptyArm, ...canary }, control: { ...emptyArm, ...control } };
  const clock = { clockMs, rampMs: 10_000, minBakeMs: 10_000, maxBakeMs: 20_000 };
  return judge({ spec, stage: 0, look: 1, counters, setAside, ...clock });
};
const [EARLY, BAKED, LATE] = [5_000, 20_000, 30_000];

describe('a rule', () => {
  it('convicts at any time once its minimums are met, and keeps the integers', () => {
    const judgement = look([errors], { devices: 10, predictions: 200, errors: 11 }, EARLY);
    expect(judgement.verdict).toBe('REGRESSED');
    expect(judgement.rule).toEqual({
      index: 0,
      metric: 'error_rate',
      numerator: 11,
      denominator: 200,
      limit: 0.05,
      op: '>',
    });
  });

  it('is silent before both minimums are met', () => {
    expect(look([errors], { devices: 9, predictions: 500, errors: 500 }, EARLY).verdict).toBe('PENDING');
    expect(look([errors], { devices: 99, predictions: 199, errors: 199 }, EARLY).verdict).toBe('PENDING');
    expect(look([errors], { devices: 9, predictions: 199, errors: 50 }, LATE)).toMatchObject({
      verdict: 'INCONCLUSIVE',
      rule: null,
      missing: ['error_rate: 9 of 10 devices, 199 of 200 predictions'],
    });
  });

  it('is exact at its limit: 5 of 100 is 0.05', () => {
    for (const k of [1, 3, 7, 977]) {
      const arm = { devices: 10, predictions: 200 * k, errors: 10 * k };
      expect(look([errors], arm, BAKED).verdict).toBe('HEALTHY');
      expect(look([{ ...errors, op: '>=' }], arm, BAKED).verdict).toBe('REGRESSED');
    }
  });

  it('looks at the canary, not at control', () => {
    const arm = { devices: 10, predictions: 200, errors: 4 };
    expect(look([errors], arm, BAKED, { devices: 90, predictions: 1800, errors: 1800 }).verdict).toBe('HEALTHY');
  });

  it('of latency compares milliseconds of the 95th percentile, from counts', () => {
    const bucket = (ms: number) => String(latencyBucket(ms * 1000));
    const arm = { devices: 10, predictions: 100 };
    expect(look([latency], { ...arm, latency: { [bucket(20)]: 95, [bucket(400)]: 5 } }, BAKED).verdict).toBe('HEALTHY');
    const slow = look([latency], { ...arm, latency: { [bucket(20)]: 94, [bucket(400)]: 6 } }, BAKED);
    expect(slow).toMatchObject({ verdict: 'REGRESSED', rule: { metric: 'latency_p95', denominator: 1000, limit: 50 } });
    expect(slow.rule!.numerator / 1000).toBeCloseTo(400, -1);
    // Untimed predictions are no evidence about latency.
    expect(look([latency], { ...arm, predictions: 9999, latency: { [bucket(20)]: 99 } }, LATE).missing).toEqual([
      'latency_p95: 10 of 10 devices, 99 of 100 timed predictions',
    ]);
  });

  it('of downloads stops the rollout and blames nobody: a CDN fault never marks a version', () => {
    const judgement = look([downloads], { devices: 10, downloads: 10, download_failures: 3 }, EARLY);
    expect(judgement).toMatchObject({
      verdict: 'INCONCLUSIVE',
      rule: { metric: 'download_failure_rate', numerator: 3 },
    });
    expect(judgement.missing[0]).toContain('3 of 10 downloads failed');
    const both = { devices: 10, predictions: 200, errors: 100, downloads: 10, download_failures: 3 };
    expect(look([downloads, errors], both, EARLY)).toMatchObject({ verdict: 'REGRESSED', rule: { index: 1 } });
  });

  it('of downloads counts those after a resume only; all of them still count as seen', () => {
    const setAside = { downloads: 10, download_failures: 8 };
    const seen = (of: Partial<ArmCounters>) => look([downloads], { devices: 10, ...of }, BAKED, {}, setAside);
    expect(seen({ downloads: 10, download_failures: 8 })).toMatchObject({ verdict: 'HEALTHY', set_aside: setAside });
    expect(seen({ downloads: 19, download_failures: 9 }).verdict).toBe('HEALTHY');
    expect(seen({ downloads: 19, download_failures: 17 })).toMatchObject({
      verdict: 'PENDING',
      missing: ['download_failure_rate: 9 of 9 since the resume'],
    });
    expect(seen({ downloads: 20, download_failures: 10 }).verdict).toBe('HEALTHY');
    expect(seen({ downloads: 20, download_failures: 11 })).toMatchObject({
      verdict: 'INCONCLUSIVE',
      rule: { numerator: 3, denominator: 10 },
    });
  });
});

describe('a stage', () => {
  const good = { devices: 10, predictions: 200, errors: 0 };

  it('is pending until its ramp and least bake are over, then healthy', () => {
    expect(look([errors], good, BAKED - 1).verdict).toBe('PENDING');
    expect(look([errors], good, BAKED)).toMatchObject({ verdict: 'HEALTHY', rule: null, missing: [] });
  });

  it('needs the minimums of every rule', () => {
    const counters = { ...good, latency: {} };
    expect(look([errors, latency], counters, BAKED)).toMatchObject({ verdict: 'PENDING' });
    expect(look([errors, latency], counters, LATE - 1)).toMatchObject({ verdict: 'PENDING' });
    expect(look([errors, latency], counters, LATE)).toMatchObject({ verdict: 'INCONCLUSIVE' });
  });

  it('without rules still needs one device and one prediction', () => {
    expect(look([], {}, LATE)).toMatchObject({
      verdict: 'INCONCLUSIVE',
      missing: ['no rules: 0 of 1 devices, 0 of 1 predictions'],
    });
    expect(look([], { devices: 1 }, LATE).verdict).toBe('INCONCLUSIVE');
    expect(look([], { devices: 1, predictions: 1 }, BAKED).verdict).toBe('HEALTHY');
  });
});

const count = (max: number) => fc.integer({ min: 0, max });
const arm: fc.Arbitrary<ArmCounters> = fc
  .record({
    devices: count(50),
    predictions: count(1000),
    errorsOf: count(1000),
    downloads: count(50),
    lost: count(50),
  })
  .map(({ devices, predictions, errorsOf, downloads: n, lost }) => ({
    devices,
    predictions,
    errors: Math.min(errorsOf, predictions),
    downloads: n,
    download_failures: Math.min(lost, n),
    latency: predictions === 0 ? {} : { '541': predictions },
  }));
const someRules = fc.subarray([errors, latency, downloads]);

describe('laws', () => {
  it('no data is never good news, and never bad news either', () => {
    fc.assert(
      fc.property(someRules, count(60_000), arm, (rules, clockMs, control) => {
        expect(['PENDING', 'INCONCLUSIVE']).toContain(look(rules, {}, clockMs, control).verdict);
      }),
    );
  });

  it('every judgement may be stored, and is recomputed from its own integers', () => {
    fc.assert(
      fc.property(someRules, arm, arm, count(60_000), (rules, canary, control, clockMs) => {
        const judgement = look(rules, canary, clockMs, control);
        const spec = specOf('1.1.0', { policy: { rules } });
        expect(decode('rollout-1', 'HealthJudged', 1, judgement).ok).toBe(true);
        expect(recheck(judgement, spec)).toEqual({ equal: true, expected: judgement });
        expect(judgement.policy_sha).toBe(policySha(spec));
      }),
    );
  });

  it('an altered judgement does not survive the recheck', () => {
    const spec = specOf('1.1.0', { policy: { rules: [errors] } });
    const judgement = look([errors], { devices: 10, predictions: 200, errors: 11 }, EARLY);
    const canary = { ...judgement.counters.canary, errors: 10 };
    const altered = [
      { ...judgement, verdict: 'HEALTHY' as const },
      { ...judgement, rule: null },
      { ...judgement, clock_ms: EARLY + 1, verdict: 'PENDING' as const },
      { ...judgement, counters: { ...judgement.counters, canary } },
      { ...judgement, policy_sha: policySha(specOf('1.1.0')) },
      { ...judgement, stage: 7 },
    ];
    for (const one of altered) expect(recheck(one, spec).equal, JSON.stringify(one)).toBe(false);
    expect(recheck(judgement, spec).equal).toBe(true);
  });

  it('answers for whatever a fact or a spec may hold', () => {
    const spec = specOf('1.1.0', { policy: { rules: [errors, latency, downloads] } });
    const judgement = look([errors], { devices: 10, predictions: 200, errors: 11 }, EARLY);
    fc.assert(
      fc.property(fc.object({ withNullPrototype: true }), fc.anything(), (weird, other) => {
        // Safe to lie about the type: this is what a stored fact of unknown origin is.
        const facts = [
          weird,
          { ...judgement, counters: other },
          { ...judgement, stage: other },
        ] as (typeof judgement)[];
        for (const fact of facts) expect(recheck(fact, spec).equal).toBe(false);
        for (const broken of [weird, { ...spec, stages: other }, { ...spec, policy: other }] as (typeof spec)[])
          expect(recheck(judgement, broken).equal).toBe(false);
      }),
    );
    const noDuration = { ...spec, stages: spec.stages.map((s) => ({ ...s, ramp: 'soon' })) };
    expect(recheck(judgement, noDuration)).toEqual({ equal: false, expected: undefined });
  });
});
