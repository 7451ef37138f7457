/** What the judge reads: windows of one evidence stage, added up. A look reads sums only, and never a device. Concurrent. */
import { rolloutStream } from '../../domain/events/streams.ts';
import { METRICS, type EvidenceReader, type MetricEvidence, type Tally } from '../../domain/rollout/verdict/index.ts';
import type { Queryable } from '../queryable.ts';
import { namedSql } from '../sql/namedSql.ts';
import { sweepWindows } from './sweepWindows.ts';

interface Test extends Tally, Record<string, unknown> {
  readonly metric: string;
  /** Empty: everyone. */
  readonly segment: string;
  readonly opened_canary: number;
  readonly opened_control: number;
  readonly ended_canary: number;
  readonly ended_control: number;
  /** What Σ θ of everyone grows by without the segment. */
  readonly rest_grows: number;
}

const COUNTS = namedSql('evidence_counts');
const PULSE = namedSql('evidence_pulse');
const BY_OPENED = METRICS.filter((row) => row.counts === 'opened').map((row) => row.name);
const NOTHING: Tally = { x: 0, y: 0, theta: 0 };

const tallyIn = ({ x, y, theta }: Tally): Tally => ({ x, y, theta });

/** Each look also notes its counts of canary, which control follows ({@link createCanaryCounts}). @param on as `edgeml_app` */
export function createEvidenceReader(on: Queryable): Pick<EvidenceReader, 'readStage' | 'sweep'> {
  return {
    async sweep(stage, now) {
      await sweepWindows(on, stage, now);
    },
    async readStage({ rolloutId, stage, evidenceStage, segments }) {
      const key = [rolloutId, stage, evidenceStage];
      const [{ rows: tests }, pulse] = await Promise.all([
        on.query<Test>(COUNTS, [...key, BY_OPENED, segments]),
        on.query<{ silent_ms: number; longest_gap_ms: number | null }>(PULSE, [rolloutStream(rolloutId)]),
      ]);
      const wholes = new Map(tests.filter(({ segment }) => segment === '').map((test) => [test.metric, test]));
      const opened = (metric: string) => wholes.get(metric)?.opened_canary ?? 0;
      const evidence = METRICS.map(({ name }): MetricEvidence => {
        const whole = wholes.get(name);
        const hurt = tests.filter((test) => test.metric === name && test.segment !== '');
        return {
          metric: name,
          whole: whole ? tallyIn(whole) : NOTHING,
          opened: [whole?.opened_canary ?? 0, whole?.opened_control ?? 0],
          ended: [whole?.ended_canary ?? 0, whole?.ended_control ?? 0],
          segments: hurt.map((test) => ({ segment: test.segment, ...tallyIn(test) })),
        };
      });
      const active = opened('crash');
      // A report may be counted before the mark that says it was told.
      const told = Math.max(active, opened('silence'));
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
          const part = tests.find((test) => test.metric === metric && test.segment === segment);
          const whole = wholes.get(metric) ?? NOTHING;
          // A segment in which canary has no bad window is asked about by nobody.
          if (!part) return tallyIn(whole);
          return { x: whole.x - part.x, y: whole.y - part.y, theta: whole.theta + part.rest_grows };
        },
        told,
        active,
        silentMs,
        longestGapMs,
      };
    },
  };
}
