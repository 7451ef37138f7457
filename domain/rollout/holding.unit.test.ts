/** Where a stage stands after every fact: held, its clock, and how often it began anew; under both policies. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { HealthJudgement } from '../events/rollout.ts';
import { nextHold, setsAside, type Hold } from './holding.ts';
import {
  created,
  entered,
  evidenceOf,
  evidenceSpecOf,
  judgementOf,
  onRollout,
  pointerOf,
  registered,
  specOf,
  startedWith,
  T0,
  type Step,
} from './pointer.fixture.ts';
import { clockMs, readClock } from './stageClock.ts';

const judged = (judgement: HealthJudgement, atMs: number): Step => onRollout(1, 'HealthJudged', judgement, atMs);
const paused = (atMs: number): Step => onRollout(1, 'RolloutPaused', { cause: 'manual', reason: 'lunch' }, atMs);
const resumed = (atMs: number): Step => onRollout(1, 'RolloutResumed', {}, atMs);

/** Live since 0, with a ramp of 10 s and a silence of 30 s. */
const began: Step[] = [registered(), created(1, evidenceSpecOf('1.1.0')), ...startedWith(1, '1.1.0', 0)];
const after = (...steps: readonly Step[]) => pointerOf([...began, ...steps]).rollouts[0]!;
const clockAt = ({ threshold }: ReturnType<typeof after>, ms: number) => clockMs(readClock(threshold!), T0 + ms);

describe('UNTRUSTED', () => {
  it('stops the clock, and the next judgement that is trusted lets it run on', () => {
    const held = after(judged(evidenceOf('UNTRUSTED'), 12_000));
    expect(held).toMatchObject({ status: 'held', hold: 'untrusted' });
    expect(clockAt(held, 40_000)).toBe(12_000);
    const back = after(judged(evidenceOf('UNTRUSTED'), 12_000), judged(evidenceOf('PENDING'), 20_000));
    expect(back).toMatchObject({ status: 'active', hold: null, threshold: { evidence_stage: 0 } });
    expect(clockAt(back, 21_000)).toBe(13_000);
  });

  it('begins the stage anew where it stood for longer than a device may be silent', () => {
    const long = after(judged(evidenceOf('UNTRUSTED'), 15_000), judged(evidenceOf('PENDING'), 45_001));
    expect(long.threshold).toMatchObject({ evidence_stage: 1 });
    expect(clockAt(long, 46_001)).toBe(11_000); // the ramp is over, the bake is fresh
    const just = after(judged(evidenceOf('UNTRUSTED'), 15_000), judged(evidenceOf('PENDING'), 45_000));
    expect(just.threshold).toMatchObject({ evidence_stage: 0 });
  });
});

describe('HELD', () => {
  it('by the way to the device goes on by itself; by a limit of the model it waits for a person', () => {
    const way = [judged(evidenceOf('HELD', { over_limit: ['download', 'install'] }), 12_000)];
    expect(after(...way)).toMatchObject({ status: 'held', hold: 'transfer' });
    expect(after(...way, judged(evidenceOf('PENDING'), 13_000))).toMatchObject({ status: 'active', hold: null });
    const limit = [judged(evidenceOf('HELD', { over_limit: ['download', 'crash'] }), 12_000)];
    expect(after(...limit, judged(evidenceOf('PENDING'), 13_000))).toMatchObject({ status: 'held', hold: 'limit' });
    const untrusted = [judged(evidenceOf('UNTRUSTED'), 13_000), judged(evidenceOf('HEALTHY'), 14_000)];
    expect(after(...limit, ...untrusted)).toMatchObject({ status: 'held', hold: 'limit' });
  });

  it('is set aside by whoever resumes it: the stage begins anew', () => {
    const held = judged(evidenceOf('HELD', { over_limit: ['crash'] }), 12_000);
    const direct = after(held, resumed(13_000));
    expect(direct).toMatchObject({ status: 'active', hold: null, threshold: { evidence_stage: 1 } });
    expect(after(held, paused(12_500), resumed(13_000))).toMatchObject(direct);
    expect(after(held, entered(1, 1, 1_000, 9_900, 13_000))).toMatchObject({
      status: 'active',
      hold: null,
      stage: 1,
      threshold: { evidence_stage: 0 },
    });
  });
});

it('is a pause that is long enough which begins a stage anew, and only under evidence', () => {
  expect(after(paused(15_000), resumed(45_001)).threshold).toMatchObject({ evidence_stage: 1 });
  expect(after(paused(15_000), resumed(45_000)).threshold).toMatchObject({ evidence_stage: 0 });
  const rules = [registered(), created(1, specOf('1.1.0')), ...startedWith(1, '1.1.0', 0)];
  const [later] = pointerOf([...rules, paused(15_000), resumed(9_000_000)]).rollouts;
  expect(later).toMatchObject({ evidence: null, threshold: { evidence_stage: 0, clock_ms: 15_000 } });
});

it('reads facts from before the policy existed: no hold but that of a conviction', () => {
  const hold = { ...specOf('1.1.0'), on_regressed: 'hold' as const };
  const old = [registered(), created(1, hold), ...startedWith(1, '1.1.0', 0)];
  const [held] = pointerOf([...old, onRollout(1, 'HealthJudged', judgementOf('REGRESSED'), 3_000)]).rollouts;
  expect(held).toMatchObject({
    status: 'held',
    hold: 'regressed',
    evidence: null,
    exclude: null,
    threshold: { clock_ms: 3_000, clock_since: null },
  });
});

it('says what windows are computed from: what the start froze, and the bake of the stage', () => {
  const frozen = { measured: ['errors', 'download'], frozen_q: { ios: 48_000 }, accuracy: 930_000 };
  const spec = evidenceSpecOf('1.1.0', { metrics: { silence: { after: '30s' }, latency_p95: { slower: 1.3 } } });
  const started = onRollout(1, 'RolloutStarted', { seed: '1', lo: 0, evidence: frozen }, 0);
  const steps = [registered(), created(1, spec), started, entered(1, 0, 0, 1_000, 0)];
  expect(pointerOf(steps).rollouts[0]!.evidence).toEqual({
    ...frozen,
    silence_after_ms: 30_000,
    slower: 1.3,
    min_bake_ms: 10_000,
  });
});

describe('a hold', () => {
  const stage = { stage: 0, on_regressed: 'hold' as const };
  const judgement = fc
    .constantFrom('UNTRUSTED', 'HELD', 'PENDING', 'HEALTHY', 'QUIET', 'INCONCLUSIVE', 'REGRESSED')
    .chain((verdict) =>
      fc
        .subarray(['errors', 'crash', 'download', 'install', 'of a newer build'], { minLength: 1 })
        .map((over_limit) => evidenceOf(verdict as 'HELD', verdict === 'HELD' ? { over_limit } : {})),
    );

  it('of a person is never lifted by a judgement', () => {
    fc.assert(
      fc.property(fc.array(judgement, { maxLength: 12 }), (all) => {
        let hold: Hold | null = null;
        let waits = false;
        for (const one of all) {
          hold = nextHold({ ...stage, hold }, one);
          if (waits) expect(hold === 'limit' || hold === 'regressed').toBe(true);
          waits ||= hold === 'limit' || hold === 'regressed';
          if (!waits) expect(setsAside(hold)).toBe(one.verdict === 'HELD');
        }
      }),
    );
  });

  it('says nothing about the stage that runs where another one was judged, unless it convicts', () => {
    const left = { hold: null, stage: 1, on_regressed: 'hold' as const };
    expect(nextHold(left, evidenceOf('UNTRUSTED'))).toBeNull();
    expect(nextHold(left, evidenceOf('REGRESSED'))).toBe('regressed');
  });
});
