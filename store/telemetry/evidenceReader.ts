/** What the judge reads: windows of one evidence stage, added up. A look reads sums only, and never a device. Concurrent. */
import { rolloutStream } from '../../domain/events/streams.ts';
import {
  METRICS,
  tallyOf,
  without,
  type EvidenceReader,
  type MetricEvidence,
  type Stratum,
  type Tally,
} from '../../domain/rollout/verdict/index.ts';
import type { Queryable } from '../queryable.ts';
import { namedSql } from '../sql/namedSql.ts';
import { sweepWindows } from './sweepWindows.ts';

type Row = readonly [stratum: number, canary: number, control: number, x: number, y: number];
interface Test {
  readonly metric: string;
  /** Empty: everyone. */
  readonly segment: string;
  readonly opened: readonly [number, number];
  readonly ended: readonly [number, number];
  readonly strata: readonly Row[];
}

const COUNTS = namedSql('evidence_counts');
const PULSE = namedSql('evidence_pulse');
const BY_OPENED = METRICS.filter((row) => row.counts === 'opened').map((row) => row.name);
const NOTHING = { opened: [0, 0], ended: [0, 0], strata: [] } as const;

const stratumOfRow = ([, canary, control, x, y]: Row): Stratum => ({ canary, control, x, y });
const tallyOfRows = (rows: readonly Row[]): Tally => tallyOf(rows.map(stratumOfRow));

/** Each look also notes its counts of canary, which control follows ({@link createCanaryCounts}). @param on as `edgeml_app` */
export function createEvidenceReader(on: Queryable): Pick<EvidenceReader, 'readStage' | 'sweep'> {
  return {
    async sweep(stage, now) {
      await sweepWindows(on, stage, now);
    },
    async readStage({ rolloutId, stage, evidenceStage, segments }) {
      const key = [rolloutId, stage, evidenceStage];
      const [counts, pulse] = await Promise.all([
        on.query<{ tests: Test[] }>(COUNTS, [...key, BY_OPENED, segments]),
        on.query<{ silent_ms: number; longest_gap_ms: number | null }>(PULSE, [rolloutStream(rolloutId)]),
      ]);
      const tests = counts.rows[0]!.tests;
      const find = (metric: string, segment: string) =>
        tests.find((test) => test.metric === metric && test.segment === segment) ?? NOTHING;
      const evidence = METRICS.map(({ name }): MetricEvidence => {
        const { opened, ended, strata } = find(name, '');
        const hurt = tests.filter((test) => test.metric === name && test.segment !== '');
        return {
          metric: name,
          whole: tallyOfRows(strata),
          opened,
          ended,
          segments: hurt.map(({ segment, strata: part }) => ({ segment, ...tallyOfRows(part) })),
        };
      });
      const active = find('crash', '').opened[0];
      // A report may be counted before the mark that says it was told.
      const told = Math.max(active, find('silence', '').opened[0]);
      await on.query(
        `INSERT INTO ops.evidence_look AS l (rollout_id, stage, evidence_stage, told, active) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (rollout_id) DO UPDATE SET stage = excluded.stage, evidence_stage = excluded.evidence_stage, told = excluded.told,
           active = excluded.active, looked_at = excluded.looked_at
         WHERE (l.stage, l.evidence_stage, l.told) <= (excluded.stage, excluded.evidence_stage, excluded.told)`,
        [...key, told, active],
      );
      const { silent_ms: silentMs, longest_gap_ms: longestGapMs } = pulse.rows[0]!;
      return {
        evidence,
        restOf(metric, segment) {
          const part = new Map(find(metric, segment).strata.map((row) => [row[0], stratumOfRow(row)]));
          const none: Stratum = { canary: 0, control: 0, x: 0, y: 0 };
          return tallyOf(find(metric, '').strata.map((row) => without(stratumOfRow(row), part.get(row[0]) ?? none)));
        },
        told,
        active,
        silentMs,
        longestGapMs,
      };
    },
  };
}
