/** A rollout request becomes a whole spec, or is refused by JSON pointer. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decode } from '../events/codec.ts';
import { durationMs } from '../duration.ts';
import type { RolloutSpec } from '../events/rollout.ts';
import { canonicalSha } from '../hash/canonicalJson.ts';
import { DEFAULT_POLICY } from './defaultPolicy.ts';
import { evidencePolicy, rulesPolicy } from './policies.ts';
import { DEFAULT_RULE, parseRolloutRequest, specFromSdkCall, type ParsedRequest, type ParsedSpec } from './spec.ts';

const specOf = (parsed: ParsedRequest | ParsedSpec): RolloutSpec => {
  if ('errors' in parsed) throw new Error(JSON.stringify(parsed.errors));
  return parsed.spec;
};
const pointersOf = (parsed: ParsedRequest | ParsedSpec) =>
  'errors' in parsed ? parsed.errors.map((e) => e.pointer) : [];

/** The codec is the judge of what may be stored. */
function storable(spec: RolloutSpec): boolean {
  const data = { model_id: 'm-1', version: spec.version, previous: null, spec, spec_sha: canonicalSha(spec) };
  return decode('rollout-1', 'RolloutCreated', 1, data).ok;
}

describe('a request on the own door', () => {
  it('needs a version only: the canary preset with one rule', () => {
    const spec = specOf(parseRolloutRequest({ version: '1.1.0' }));
    expect(spec.stages.map((s) => s.percent)).toEqual([10, 25, 50, 75, 100]);
    for (const stage of spec.stages) {
      expect([stage.ramp, stage.min_bake, stage.max_bake].map(durationMs)).toEqual([7.2e6, 8.64e7, 17.28e7]);
    }
    expect(spec).toMatchObject({ look: '60s', on_regressed: 'rollback', policy: { rules: [DEFAULT_RULE] } });
    expect(spec).not.toHaveProperty('cohort');
    expect(storable(spec)).toBe(true);
  });

  it('fills in each stage by its place', () => {
    const spec = specOf(
      parseRolloutRequest({ version: '1.1.0', stages: [{ percent: 1 }, { percent: 5.25 }, { percent: 100 }] }),
    );
    expect(spec.stages.map((s) => s.min_bake)).toEqual(['1d', '6h', '1d']);
    expect(spec.stages.map((s) => s.max_bake)).toEqual(['2d', '1d', '2d']);
  });

  it('keeps what is given, down to milliseconds, and says whether to start', () => {
    const body = {
      version: '1.1.0',
      stages: [{ percent: 50, ramp: '200ms', min_bake: '1s', max_bake: '3s' }],
      cohort: { platform: ['ios'] },
      look: '100ms',
      policy: { rules: [{ metric: 'latency_p95', value: 50, min_devices: 3, min_predictions: 7 }] },
      on_regressed: 'hold',
      start: true,
    };
    const parsed = parseRolloutRequest(body);
    expect(parsed).toEqual({
      spec: {
        version: '1.1.0',
        stages: body.stages,
        cohort: { platform: ['ios'] },
        look: '100ms',
        policy: { rules: [{ metric: 'latency_p95', op: '>', value: 50, min_devices: 3, min_predictions: 7 }] },
        on_regressed: 'hold',
      },
      start: true,
    });
    expect(storable(specOf(parsed))).toBe(true);
  });

  it('gives a rule its minimums: 20 predictions a device, one download', () => {
    const rules = [
      { metric: 'error_rate', value: 0.1, min_devices: 30 },
      { metric: 'download_failure_rate', value: 0.2 },
    ];
    const spec = specOf(parseRolloutRequest({ version: '1.1.0', policy: { rules } }));
    expect(rulesPolicy(spec)!.rules.map((r) => [r.min_devices, r.min_predictions])).toEqual([
      [30, 600],
      [10, 10],
    ]);
  });

  it('moves the other bake along where only one is given', () => {
    const stages = [
      { percent: 10, min_bake: '5s', ramp: '0s' },
      { percent: 20, min_bake: '3d' },
      { percent: 30, max_bake: '2s' },
    ];
    const spec = specOf(parseRolloutRequest({ version: '1.1.0', stages }));
    expect(spec.stages.map((s) => [s.min_bake, s.max_bake])).toEqual([
      ['5s', '2d'],
      ['3d', '3d'],
      ['2s', '2s'],
    ]);
  });

  it.each([
    [undefined, ['']],
    [[], ['']],
    [{}, ['/version']],
    [{ version: 'v1.0.0' }, ['/version']],
    [{ version: '1.1.0', colour: 'red', 'a/b': 1 }, ['/colour', '/a~1b']],
    [{ version: '1.1.0', stages: [] }, ['/stages']],
    [{ version: '1.1.0', stages: [{ percent: 10 }], preset: 'canary' }, ['/preset']],
    [{ version: '1.1.0', preset: 'yolo' }, ['/preset']],
    [{ version: '1.1.0', stages: [{ percent: 0 }] }, ['/stages/0/percent']],
    [{ version: '1.1.0', stages: [{ percent: 10.005 }] }, ['/stages/0/percent']],
    [{ version: '1.1.0', stages: [{ percent: 100.01 }] }, ['/stages/0/percent']],
    [{ version: '1.1.0', stages: [{ percent: '10' }] }, ['/stages/0/percent']],
    [{ version: '1.1.0', stages: [{ percent: 25 }, { percent: 25 }] }, ['/stages/1/percent']],
    [{ version: '1.1.0', stages: [{ percent: 25, bake: '1h' }] }, ['/stages/0/bake']],
    [{ version: '1.1.0', stages: [{ percent: 25, min_bake: '2h', max_bake: '1h' }] }, ['/stages/0/max_bake']],
    [{ version: '1.1.0', stages: [{ percent: 25, ramp: '2 hours' }] }, ['/stages/0/ramp']],
    [{ version: '1.1.0', stages: [{ percent: 25, ramp: '9999d' }] }, ['/stages/0/ramp']],
    [{ version: '1.1.0', look: '0ms' }, ['/look']],
    [{ version: '1.1.0', look: '8d' }, ['/look']],
    [{ version: '1.1.0', stages: [{ percent: 25, max_bake: `${'9'.repeat(300)}d` }] }, ['/stages/0/max_bake']],
    [
      { version: '1.1.0', stages: Array.from({ length: 20 }, (_, i) => ({ percent: i + 1, ramp: '200d' })) },
      ['/stages'],
    ],
    [
      { version: '1.1.0', policy: { rules: [{ metric: 'error_rate', value: 0.1, min_devices: 1e12 }] } },
      ['/policy/rules/0/min_devices'],
    ],
    [{ version: '1.1.0', policy: { rules: [{ metric: 'latency_p95', value: 1e300 }] } }, ['/policy/rules/0/value']],
    [{ version: '1.1.0', cohort: {} }, ['/cohort']],
    [{ version: '1.1.0', cohort: { platform: [] } }, ['/cohort/platform']],
    [{ version: '1.1.0', cohort: { platform: ['ios', 'python', 3] } }, ['/cohort/platform/1', '/cohort/platform/2']],
    [{ version: '1.1.0', cohort: { colour: ['blue'] } }, ['/cohort/colour', '/cohort']],
    [{ version: '1.1.0', exclude: {} }, ['/exclude']],
    [{ version: '1.1.0', exclude: { region: [''] } }, ['/exclude/region/0']],
    [{ version: '1.1.0', cohort: { os: { gte: '14' } } }, ['/cohort/os']],
    [{ version: '1.1.0', cohort: { platform: ['ios', 'android'], os: { gte: '14' } } }, ['/cohort/os']],
    [{ version: '1.1.0', cohort: { app: { gte: '3.x' } } }, ['/cohort/app/gte']],
    [{ version: '1.1.0', cohort: { app: {} } }, ['/cohort/app']],
    [{ version: '1.1.0', cohort: { app: { gte: '3.2', lt: '3.2.0' } } }, ['/cohort/app/lt']],
    [{ version: '1.1.0', cohort: { app: { gt: '3' } } }, ['/cohort/app/gt', '/cohort/app']],
    [{ version: '1.1.0', policy: 'hope' }, ['/policy']],
    [{ version: '1.1.0', policy: { rules: [] }, holdback: 2, if_unproven: 'ask' }, ['/if_unproven', '/holdback']],
    [{ version: '1.1.0', if_unproven: 'hope', holdback: 51 }, ['/if_unproven', '/holdback']],
    [{ version: '1.1.0', metrics: { vibes: {} }, trust: { stale: '1h' } }, ['/trust/stale', '/metrics/vibes']],
    [{ version: '1.1.0', policy: {} }, ['/policy/rules']],
    [{ version: '1.1.0', policy: { rules: [{ metric: 'vibes', value: 1 }] } }, ['/policy/rules/0/metric']],
    [{ version: '1.1.0', policy: { rules: [{ metric: 'error_rate', value: 5 }] } }, ['/policy/rules/0/value']],
    [
      { version: '1.1.0', policy: { rules: [{ metric: 'error_rate', value: 0.1, min_devices: 0 }] } },
      ['/policy/rules/0/min_devices'],
    ],
    [{ version: '1.1.0', on_regressed: 'shrug', start: 'yes' }, ['/on_regressed', '/start']],
  ])('refuses %j at %j', (body, pointers) => {
    expect(pointersOf(parseRolloutRequest(body))).toEqual(pointers);
  });

  it('is judged by evidence where that is asked for, by name or by a member of it', () => {
    const policyOf = (request: Record<string, unknown>, hasStable = true) => {
      const spec = specOf(parseRolloutRequest({ version: '1.1.0', ...request }, { hasStable }));
      return evidencePolicy(spec);
    };
    expect(policyOf({ policy: 'evidence' })).toMatchObject({
      if_unproven: 'auto',
      holdback: 1,
      on_regressed: 'rollback',
    });
    expect(policyOf({ if_unproven: 'ask' })).toMatchObject({ if_unproven: 'ask' });
    expect(policyOf({ metrics: { errors: { limit: 0.1, on_limit: 'rollback' } } })).toMatchObject({
      metrics: { errors: { limit: 0.1, on_limit: 'rollback' } },
    });
    expect(policyOf({ policy: 'evidence', on_regressed: 'hold' })).toMatchObject({ on_regressed: 'hold' });
    // Nobody is held back where nothing is stable, or where all get it at once.
    expect(policyOf({ policy: 'evidence' }, false)).toMatchObject({ holdback: 0 });
    expect(policyOf({ policy: 'evidence', preset: 'immediate' })).toMatchObject({ holdback: 0 });
    expect(policyOf({ policy: 'evidence', holdback: 5 }, false)).toMatchObject({ holdback: 5 });
    expect(policyOf({ policy: { rules: [] } })).toBeUndefined();
    expect(policyOf({ on_regressed: 'hold' }) === undefined).toBe(DEFAULT_POLICY === 'rules');
  });

  it('names every mistake at once, and never throws', () => {
    const parsed = parseRolloutRequest({ stages: [{ percent: -1, ramp: 3 }], look: 'soon', x: 1 });
    expect(pointersOf(parsed)).toEqual(['/x', '/version', '/stages/0/percent', '/stages/0/ramp', '/look']);
    fc.assert(
      fc.property(fc.jsonValue(), (body) => {
        const answer = parseRolloutRequest(body);
        expect('errors' in answer || storable(answer.spec)).toBe(true);
      }),
    );
  });
});

describe('the SDKs’ deploy call', () => {
  const percents = (call: Parameters<typeof specFromSdkCall>[0]) =>
    specOf(specFromSdkCall(call)).stages.map((s) => s.percent);

  it('climbs from the first percentage to exactly the target', () => {
    expect(percents({ version: '1.1.0' })).toEqual([10, 20, 30, 40, 50, 60, 70, 80, 90, 100]);
    expect(percents({ version: '1.1.0', rollout_percentage: 5, increment_step: 30 })).toEqual([5, 35, 65, 95, 100]);
    expect(percents({ version: '1.1.0', rollout_percentage: 100 })).toEqual([100]);
    expect(
      percents({ version: '1.1.0', rollout_percentage: 0.1, target_percentage: 0.4, increment_step: 0.1 }),
    ).toEqual([0.1, 0.2, 0.3, 0.4]);
  });

  it('tells the first percentage at once and ramps the others; 114 h if health is proven all along', () => {
    const { stages } = specOf(specFromSdkCall({ version: '1.1.0' }));
    expect(stages.map((s) => durationMs(s.ramp))).toEqual([0, ...Array.from({ length: 9 }, () => 7_200_000)]);
    const hours = (pick: 'min_bake' | 'max_bake') =>
      stages.reduce((sum, s) => sum + durationMs(s.ramp) + durationMs(s[pick]), 0) / 3_600_000;
    expect(hours('min_bake')).toBe(114);
    expect(hours('max_bake')).toBe(306);
  });

  it.each([
    [{ rollout_percentage: 60, target_percentage: 50 }, '/rollout_percentage'],
    [{ increment_step: 0 }, '/increment_step'],
    [{ increment_step: -5 }, '/increment_step'],
    [{ increment_step: 0.0001 }, '/increment_step'],
    [{ increment_step: 1e308 }, '/increment_step'],
    [{ rollout_percentage: 0.01, increment_step: 0.01 }, '/increment_step'],
    [{ increment_step: Number.NaN }, '/increment_step'],
    [{ rollout_percentage: 0 }, '/rollout_percentage'],
    [{ rollout_percentage: 1, increment_step: 0.5 }, '/increment_step'],
    [{ target_percentage: 101 }, '/target_percentage'],
  ])('refuses %j', (call, pointer) => {
    expect(pointersOf(specFromSdkCall({ version: '1.1.0', ...call }))).toContain(pointer);
  });

  it('gives rising percents that end at the target, whatever the numbers', () => {
    const hundredths = (min: number) => fc.integer({ min, max: 10_000 }).map((n) => n / 100);
    fc.assert(
      fc.property(hundredths(1), hundredths(1), hundredths(100), (first, target, step) => {
        const parsed = specFromSdkCall({
          version: '1.1.0',
          rollout_percentage: first,
          target_percentage: target,
          increment_step: step,
        });
        if ('errors' in parsed) {
          expect(first > target || (target - first) / step > 98).toBe(true);
          return;
        }
        const steps = parsed.spec.stages.map((s) => s.percent);
        expect(steps[0]).toBe(first);
        expect(steps.at(-1)).toBe(target);
        for (let i = 1; i < steps.length; i += 1) expect(steps[i]!).toBeGreaterThan(steps[i - 1]!);
        expect(storable(parsed.spec)).toBe(true);
      }),
    );
  });
});
