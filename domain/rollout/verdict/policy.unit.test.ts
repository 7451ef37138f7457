/** The policy `evidence` becomes whole, or is refused by JSON pointer; and what pre-flight promises of it. */
import fc from 'fast-check';
import Value from 'typebox/value';
import { describe, expect, it } from 'vitest';
import { EvidencePolicy } from '../../events/verdict.ts';
import { createReader } from '../specReader.ts';
import { METRICS } from './metrics.ts';
import { specOf } from './look.fixture.ts';
import { maxErrorRate, readEvidence } from './policy.ts';
import { preflight, stageBuckets } from './preflight.ts';

const read = (request: Record<string, unknown>, stages = 5) => {
  const reader = createReader();
  return { policy: readEvidence(reader, request, stages), pointers: reader.problems.map((p) => p.pointer) };
};

describe('the policy', () => {
  it('needs nothing: the defaults of the table', () => {
    const { policy, pointers } = read({});
    expect(pointers).toEqual([]);
    expect(Object.keys(policy.metrics)).toEqual([
      'errors',
      'latency_p95',
      'crash',
      'silence',
      'drift',
      'download',
      'install',
    ]);
    expect(policy).toMatchObject({
      metrics: { crash: { gate: true, limit: 0.01, on_limit: 'hold', tolerated: 1.1 }, silence: { after: '6h' } },
      trust: { stale_after: null },
      verdict: { alpha: 0.01, beta: 0.05, proven: 1.5, negligible: null },
      if_unproven: 'auto',
      on_regressed: 'rollback',
      holdback: 1,
    });
    expect(read({}, 1).policy.holdback).toBe(0);
    expect(Value.Check(EvidencePolicy, policy)).toBe(true);
  });

  it('keeps what is given', () => {
    const given = {
      metrics: { latency_p95: { slower: 1.5, limit: 0.2 }, crash: { limit: null, on_limit: 'rollback' } },
      trust: { stale_after: '10m' },
      if_unproven: 'ask',
      holdback: 2.5,
    };
    expect(read(given)).toMatchObject({ policy: given, pointers: [] });
  });

  it('asks for a rollback above a rate of predictions', () => {
    expect(maxErrorRate(0.05)).toEqual({ limit: 0.26416, on_limit: 'rollback' });
    expect(maxErrorRate(0.03).limit).toBeCloseTo(0.12, 3);
  });

  it.each<[Record<string, unknown>, string[]]>([
    [{ metrics: { vibes: {} } }, ['/metrics/vibes']],
    [{ metrics: { errors_late: {} } }, ['/metrics/errors_late']],
    [{ metrics: { errors: { slower: 2 } } }, ['/metrics/errors/slower']],
    [{ metrics: { download: { on_limit: 'rollback' } } }, ['/metrics/download/on_limit']],
    [{ metrics: { crash: { limit: 0 } } }, ['/metrics/crash/limit']],
    [{ metrics: { crash: { limit: 0.95 } } }, ['/metrics/crash/limit']],
    [{ metrics: { crash: { gate: 'yes', tolerated: 0.5 } } }, ['/metrics/crash/gate', '/metrics/crash/tolerated']],
    [{ metrics: { silence: { after: 'soon' } } }, ['/metrics/silence/after']],
    [{ metrics: [] }, ['/metrics']],
    [{ trust: { stale_after: '0s' } }, ['/trust/stale_after']],
    [
      { verdict: { alpha: 0, beta: 1, proven: 1, negligible: 'x' } },
      ['/verdict/alpha', '/verdict/beta', '/verdict/proven', '/verdict/negligible'],
    ],
    [{ if_unproven: 'maybe', on_regressed: 'shrug' }, ['/if_unproven', '/on_regressed']],
    [{ holdback: 0.005 }, ['/holdback']],
    [{ holdback: 51 }, ['/holdback']],
    [{ holdback: Number.NaN }, ['/holdback']],
  ])('refuses %j at %j', (request, pointers) => {
    expect([...read(request).pointers].sort()).toEqual([...pointers].sort());
  });

  it('never throws, and what it accepts can be stored', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.constantFrom('metrics', 'trust', 'verdict', 'holdback'), fc.jsonValue()),
        (request) => {
          const { policy, pointers } = read(request);
          if (pointers.length === 0) expect(Value.Check(EvidencePolicy, policy)).toBe(true);
        },
      ),
    );
  });
});

describe('pre-flight', () => {
  const leavesOf = (devices: number) => [{ platform: 'ios', osMajor: '14', app: '3.2', region: 'eu', devices }];
  const measured = METRICS.map((row) => row.name);
  const plan = (devices: number, more: object = {}) =>
    preflight(specOf(), { leaves: leavesOf(devices), hasControl: true, measured, ...more });
  const convicts = (devices: number, stage: number, metric: string) =>
    plan(devices)[stage]!.metrics.find((m) => m.metric === metric)!.convicts;

  it('counts devices of both arms, less the holdback', () => {
    expect(plan(2_000).map((s) => [s.canary, s.control])).toEqual([
      [200, 1_800],
      [500, 1_500],
      [1_000, 1_000],
      [1_500, 500],
      [1_980, 20],
    ]);
    expect([stageBuckets(10, 1), stageBuckets(99.5, 1), stageBuckets(100, 0)]).toEqual([1_000, 9_900, 10_000]);
  });

  it('sees more in larger fleets', () => {
    expect([200, 2_000, 20_000, 200_000].map((n) => convicts(n, 0, 'errors'))).toEqual([null, 20, 5, 2]);
    expect([20_000, 1_000_000].map((n) => plan(n)[1]!.canProve)).toEqual([false, true]);
  });

  it('proves a fleet of 20,000 that hardly fails, and nothing that is compared without control', () => {
    const few = { measured: ['errors', 'crash', 'download', 'install'], usual: { errors: 0.004, crash: 0.0001 } };
    expect(plan(20_000, few)[2]!.canProve).toBe(true);
    expect(plan(20_000, { hasControl: false })[2]!.canProve).toBe(false);
    expect(plan(20_000, { hasControl: false })[2]!.metrics.every((m) => m.convicts === null)).toBe(true);
  });
});
