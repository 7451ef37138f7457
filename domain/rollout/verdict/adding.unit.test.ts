/** The recipe "A metric of the judge" of docs/adding.md, with a metric that is in no build. */
import { describe, expect, it } from 'vitest';
import { createReader } from '../specReader.ts';
import { judgeEvidence } from './judge.ts';
import { CLEAN, HOUR, lookOf, seen, specOf } from './look.fixture.ts';
import { METRICS, type Metric } from './metrics.ts';
import { readEvidence } from './policy.ts';
import { preflight } from './preflight.ts';
import { recheckEvidence } from './recheck.ts';

/** Phones that become too hot to hold: told by an event, in both arms. */
const hot: Metric = {
  ...METRICS.find((row) => row.name === 'crash')!,
  name: 'hot',
  policy: 'hot',
  limit: 0.05,
  negligible: 0.01,
  usual: 0.02,
};
const table = [...METRICS, hot];
const read = createReader();
const spec = { ...specOf(), evidence: readEvidence(read, { metrics: { hot: { tolerated: 1.5 } } }, 5, table) };
const measured = table.map((row) => row.name);

describe('a row that is passed to the judge', () => {
  it('has its members in the spec, with defaults from the row; another table does not know it', () => {
    expect(read.problems).toEqual([]);
    expect(spec.evidence.metrics['hot']).toEqual({ gate: true, limit: 0.05, on_limit: 'hold', tolerated: 1.5 });
    const strict = createReader();
    readEvidence(strict, { metrics: { hot: {} } }, 5);
    expect(strict.problems.map((p) => p.pointer)).toEqual(['/metrics/hot']);
  });

  it('convicts, names and recomputes like any other', () => {
    const segments = [{ segment: 'region:eu', x: 20, y: 1, theta: 2_100_000 }];
    const evidence = [...CLEAN, seen('hot', 20, 10, { segments })];
    const judgement = judgeEvidence(lookOf({ spec, evidence, table, given: { measured }, clockMs: HOUR }));
    expect(judgement).toMatchObject({ verdict: 'REGRESSED', guilt: { metric: 'hot', by: 'G', named: 'region:eu' } });
    expect(recheckEvidence(judgement, spec, table).equal).toBe(true);
    expect(recheckEvidence(judgement, spec).equal).toBe(false);
  });

  it('is in what pre-flight says', () => {
    const leaves = [{ platform: 'ios', osMajor: '14', app: null, region: null, devices: 20_000 }];
    const plans = preflight(spec, { leaves, hasControl: true, measured }, table);
    expect(plans[2]?.metrics.find((m) => m.metric === 'hot')).toMatchObject({ convicts: 3 });
  });
});
