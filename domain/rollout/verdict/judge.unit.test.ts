/** One look after the other: the ladder, who is named, what is proven, and that each judgement is found again in its own numbers. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeJudgement } from './shape.fixture.ts';
import { consequenceOf } from './consequence.ts';
import { judgeEvidence, type EvidenceLook } from './judge.ts';
import { HOUR, lookOf, seen, specOf, without } from './look.fixture.ts';
import { recheckEvidence } from './recheck.ts';

const BAKED = 26 * HOUR;
const OVER = 50 * HOUR;
const verdictOf = (look: EvidenceLook) => judgeEvidence(look).verdict;
const guilty = without(seen('crash', 12, 0));

describe('the ladder', () => {
  it.each<[string, EvidenceLook, string]>([
    ['nothing wrong, before the least bake', lookOf(), 'PENDING'],
    ['guilt by G, at any time', lookOf({ evidence: guilty }), 'REGRESSED'],
    ['guilt that may not be believed', lookOf({ evidence: guilty, given: { blind: true } }), 'UNTRUSTED'],
    ['nobody reports', lookOf({ given: { silent_ms: 120_000 } }), 'UNTRUSTED'],
    ['a quiet stage that could not prove', lookOf({ clockMs: BAKED }), 'QUIET'],
    ['the same where it could have', lookOf({ clockMs: BAKED, given: { can_prove: true } }), 'PENDING'],
    ['the same at the end', lookOf({ clockMs: OVER, given: { can_prove: true } }), 'INCONCLUSIVE'],
    ['a suspicion', lookOf({ clockMs: BAKED, evidence: without(seen('crash', 5, 0)) }), 'PENDING'],
    [
      'nothing seen',
      lookOf({ clockMs: OVER, evidence: without(seen('errors', 0, 0, { ended: [9, 50] })) }),
      'INCONCLUSIVE',
    ],
    ['nothing measured', lookOf({ clockMs: OVER, given: { measured: [] } }), 'INCONCLUSIVE'],
    ['installs over their limit', lookOf({ evidence: without(seen('install', 80, 0)) }), 'HELD'],
    [
      'nearly everything fails, and A alone sees it',
      lookOf({ evidence: without(seen('errors', 1_000, 0)), given: { has_control: false } }),
      'HELD',
    ],
  ])('%s', (_what, look, verdict) => {
    expect(verdictOf(look)).toBe(verdict);
  });

  it('is HEALTHY once every metric is proven and half of the told are active', () => {
    const measured = ['errors', 'crash'];
    const evidence = without(seen('errors', 20, 400), seen('crash', 0, 4, { ended: [4_000, 30_000] }));
    const given = { measured, proof_look: true, can_prove: true };
    const errors = { ended: [20_000, 180_000] as const };
    const many = without(
      seen('errors', 200, 1_800, errors),
      evidence.find((e) => e.metric === 'crash')!,
    );
    expect(judgeEvidence(lookOf({ clockMs: BAKED, evidence: many, given }))).toMatchObject({
      verdict: 'HEALTHY',
      proven: measured,
      missing: [],
    });
    expect(verdictOf(lookOf({ clockMs: BAKED, evidence: many, given: { ...given, proof_look: false } }))).toBe(
      'PENDING',
    );
    expect(verdictOf(lookOf({ clockMs: BAKED, evidence: many, given: { ...given, told: 4_000 } }))).toBe('PENDING');
    expect(verdictOf(lookOf({ clockMs: BAKED, given: { ...given, proof_look: false, proven_before: measured } }))).toBe(
      'HEALTHY',
    );
  });

  it('rolls back by A only where a person asked, and never for the way to the device', () => {
    const asked = specOf({ metrics: { errors: { on_limit: 'rollback' } } });
    const given = { has_control: false };
    const failing = without(seen('errors', 1_000, 0));
    expect(judgeEvidence(lookOf({ spec: asked, evidence: failing, given })).guilt).toEqual({
      metric: 'errors',
      by: 'A',
      named: null,
      rest: null,
    });
    expect(verdictOf(lookOf({ spec: asked, evidence: without(seen('install', 80, 0)) }))).toBe('HELD');
  });

  it('says nothing by A while control is as sick', () => {
    const both = without(seen('errors', 1_000, 9_000));
    expect(judgeEvidence(lookOf({ evidence: both }))).toMatchObject({ verdict: 'PENDING', over_limit: [] });
  });

  it('leaves out what the spec switches off', () => {
    const spec = specOf({ metrics: { crash: { gate: false } } });
    expect(verdictOf(lookOf({ spec, evidence: guilty }))).toBe('PENDING');
  });

  it('shares α by tests and stages: 9.04 with 12 tests, 11.82 with 194', () => {
    const whole = (segments: number, measured: string[]) =>
      judgeEvidence(lookOf({ given: { segments, measured } })).threshold / 1e6;
    // Nine metrics: 7 compared, 5 with a limit.
    const all = lookOf().given.measured;
    expect(whole(0, all)).toBeCloseTo(Math.log((12 * 7) / 0.01), 6);
    expect(whole(26, all)).toBeCloseTo(Math.log((194 * 7) / 0.01), 6);
  });

  it('needs ten good looks after a bad one', () => {
    const owed = (good_looks_owed: number) => judgeEvidence(lookOf({ given: { good_looks_owed } })).distrust;
    expect([10, 2, 1, 0].map(owed)).toEqual(['recovering', 'recovering', null, null]);
  });

  it('does to a rollout what the spec says', () => {
    const auto = { if_unproven: 'auto', on_regressed: 'rollback' } as const;
    expect(consequenceOf('QUIET', auto)).toBe('advance');
    expect(consequenceOf('INCONCLUSIVE', auto)).toBe('ask');
    expect(consequenceOf('INCONCLUSIVE', { ...auto, if_unproven: 'advance' })).toBe('advance');
    expect(consequenceOf('QUIET', { ...auto, if_unproven: 'ask' })).toBe('ask');
    expect(consequenceOf('REGRESSED', { ...auto, on_regressed: 'hold' })).toBe('hold');
    expect([consequenceOf('HELD', auto), consequenceOf('UNTRUSTED', auto)]).toEqual(['hold', 'hold']);
  });
});

describe('who is named', () => {
  const segment = (name: string, x: number, y: number) => ({ segment: name, x, y, theta: (x + y) * 100_000 });
  const named = (segments: ReturnType<typeof segment>[], rest = { x: 0, y: 0, theta: 0 }) =>
    judgeEvidence(lookOf({ evidence: without(seen('crash', 12, 6, { segments })), restOf: () => rest })).guilt?.named;

  it('is the worst segment, if the rest is innocent', () => {
    expect(named([segment('region:eu', 3, 2), segment('os:ios 14', 12, 1)])).toBe('os:ios 14');
    expect(named([segment('os:ios 14', 12, 1)], { x: 6, y: 0, theta: 600_000 })).toBeNull();
    expect(named([])).toBeNull();
  });

  it('ties: platform before OS before app before region, whatever comes first', () => {
    const ties = ['region:eu', 'app:3.1', 'os:ios 14', 'platform:android'].map((name) => segment(name, 12, 1));
    expect(named(ties)).toBe('platform:android');
    expect(named(ties.slice(0, 3))).toBe('os:ios 14');
    expect(named(ties.slice(0, 2))).toBe('app:3.1');
  });

  it('is the operating system that has nine of ten of its platform', () => {
    expect(named([segment('platform:ios', 12, 0), segment('os:ios 14', 11, 1)])).toBe('os:ios 14');
    expect(named([segment('platform:ios', 12, 0), segment('os:ios 14', 10, 0)])).toBe('platform:ios');
    expect(named([segment('platform:ios', 12, 0), segment('os:android 14', 11, 1)])).toBe('platform:ios');
  });
});

describe('a judgement', () => {
  const count = fc.nat({ max: 400 });
  const evidence = fc.tuple(count, count, fc.nat({ max: 60 }), fc.nat({ max: 1_000_000 })).map(([x, y, s, share]) => {
    const tally = (a: number, b: number) => ({ x: a, y: b, theta: (a + b) * share });
    const segments = [
      { segment: 'os:ios 14', ...tally(Math.min(s, x), Math.min(s, y)) },
      { segment: 'region:eu', ...tally(Math.min(3, x), 0) },
    ];
    return without(
      seen('errors', x, y, { whole: tally(x, y), segments }),
      seen('crash', Math.min(x, 9), Math.min(y, 9)),
    );
  });
  const looks = fc
    .record({
      evidence,
      clockMs: fc.nat({ max: OVER + HOUR }),
      given: fc.record({
        has_control: fc.boolean(),
        told: fc.nat({ max: 3_000 }),
        can_prove: fc.boolean(),
        proof_look: fc.boolean(),
        good_looks_owed: fc.nat({ max: 3 }),
        blind: fc.boolean(),
      }),
    })
    .map((parts) => lookOf({ ...parts, restOf: () => ({ x: 2, y: 3, theta: 500_000 }) }));

  it('fits its shape and is found again in its own numbers', () => {
    fc.assert(
      fc.property(looks, (look) => {
        const judgement = judgeEvidence(look);
        expect(decodeJudgement(judgement)).toEqual([]);
        const read = JSON.parse(JSON.stringify(judgement)) as typeof judgement;
        expect(recheckEvidence(read, look.spec)).toMatchObject({ equal: true });
      }),
      { numRuns: 300 },
    );
  });

  const look = lookOf({
    evidence: without(seen('crash', 12, 6, { segments: [{ segment: 'os:ios 14', x: 12, y: 1, theta: 1_300_000 }] })),
  });
  const honest = judgeEvidence(look);
  it.each<[string, object]>([
    ['a verdict', { verdict: 'HEALTHY' }],
    ['nobody guilty', { guilt: null, verdict: 'PENDING' }],
    ['another segment', { guilt: { ...honest.guilt, named: 'region:eu' } }],
    ['another rest', { guilt: { ...honest.guilt, rest: { ...honest.guilt!.rest, x: 40, y: 0 } } }],
    ['a threshold', { threshold: honest.threshold + 1 }],
    ['a log', { metrics: honest.metrics.map((m) => ({ ...m, ln_g: 0 })) }],
    ['a bad window less', { metrics: honest.metrics.map((m) => ({ ...m, x: 0 })) }],
    ['what is proven', { proven: ['errors'] }],
    ['another policy', { policy_sha: '0'.repeat(64) }],
    ['no metrics at all', { metrics: null }],
    ['a stage that is not there', { stage: 17 }],
  ])('that is forged is found: %s', (_what, forged) => {
    expect(recheckEvidence(honest, look.spec).equal).toBe(true);
    expect(recheckEvidence({ ...honest, ...forged }, look.spec).equal).toBe(false);
  });

  it('of another policy is found', () => {
    expect(recheckEvidence(honest, specOf({ verdict: { alpha: 0.02 } })).equal).toBe(false);
  });
});
