/** Every fact has one place, every place has one fact, and places are given out in time order. */
import type { Pool } from '../../store/connect.ts';
import type { RawLogRow } from '../../store/log/rows.ts';
import { createFindings, subjectOfRow, type Findings } from '../finding.ts';

const LATE_MS = 60_000;

export interface Coverage extends Findings {
  see(row: RawLogRow): void;
  /** Asks the database for facts that the log passed over. @param head the last index that was seen, -1 for none */
  end(db: Pool, head: number): Promise<void>;
}

interface Missed {
  readonly event_id: string;
  readonly stream_id: string;
  readonly stream_version: number;
  readonly is_behind: boolean;
}

/** Facts without a place: those the sequencer's cursor has passed, and those that could have been placed long ago. */
const MISSED = `
  SELECT e.event_id, e.stream_id, e.stream_version,
         (e.era, e.xid, e.position) <= (s.era, s.last_xid, s.last_position) AS is_behind
    FROM store.events e CROSS JOIN store.sequencer s LEFT JOIN store.log l ON l.position = e.position
   WHERE l.position IS NULL
     AND ((e.era, e.xid, e.position) <= (s.era, s.last_xid, s.last_position)
          OR (e.xid < pg_snapshot_xmin(pg_current_snapshot())
              AND e.recorded_at < clock_timestamp() - $1 * interval '1 millisecond'))
   ORDER BY e.position LIMIT 1000`;

/** @param nextIndex the sequencer's next index, read before the log: the log reaches at least so far */
export function checkCoverage(nextIndex: number): Coverage {
  const findings = createFindings('coverage');
  let expected = 0;
  let before: Date | undefined;
  return Object.assign(findings, {
    see(row: RawLogRow): void {
      if (row.log_index !== expected) {
        const until = row.log_index - 1;
        const range = until > expected ? `indexes ${expected} to ${until} are missing` : `index ${expected} is missing`;
        findings.add('index_gap', `${range} from the log; the next is ${row.log_index}`, { index: expected });
      }
      expected = row.log_index + 1;
      if (!row.event) {
        const detail = `the log row names row identity ${row.position}, where there is no event`;
        findings.add('event_missing', detail, { index: row.log_index });
      }
      if (before && row.sequenced_at < before) {
        const detail = `sequenced_at ${row.sequenced_at.toISOString()} is before ${before.toISOString()} of the row before`;
        findings.add(
          'clock_fell',
          detail,
          row.event ? subjectOfRow({ ...row, event: row.event }) : { index: row.log_index },
        );
      }
      before = row.sequenced_at;
    },
    async end(db: Pool, head: number): Promise<void> {
      if (head + 1 < nextIndex) {
        const detail = `the log ends at ${head}, and the sequencer has given out every index below ${nextIndex}`;
        findings.add('log_short', detail, { index: head + 1 });
      }
      const { rows } = await db.query<Missed>(MISSED, [LATE_MS]);
      for (const { event_id, stream_id, stream_version, is_behind } of rows) {
        const place = { event: event_id, stream: `${stream_id}@${stream_version}` };
        if (is_behind)
          findings.add('event_unplaced', 'the sequencer has passed this event, and the log has no row for it', place);
        else
          findings.add(
            'event_waits',
            `safe to place for more than ${LATE_MS / 1000} s; is a sequencer running?`,
            place,
          );
      }
    },
  });
}
