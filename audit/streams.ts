/**
 * The facts again, stream by stream: one fold is held at a time, however many streams there are. A stream is read by its versions; one
 * in which these do not rise one by one with the log is read again in log order, the order that counts.
 */
import type { Pool } from '../store/connect.ts';
import { foldChecked, readFact } from './checks/facts.ts';
import { judgeStream } from './checks/verdict.ts';
import { createFindings, createSortedFindings, subjectOfRow, type FactRow } from './finding.ts';
import { rowPages } from './pages.ts';

type Row = FactRow['event'] & Pick<FactRow, 'log_index'>;

const FACTS = `
  SELECT e.event_id, e.stream_id, e.stream_version, e.type, e.schema_version, e.machine, e.recorded_at, e.data::text AS data, l.log_index
    FROM store.events e JOIN store.log l ON l.position = e.position
   WHERE l.log_index <= $1`;
/** Before the first stream in every collation. */
const BEFORE_ALL = ['', 0];

/** What one stream says by itself. */
function checkStream() {
  const findings = {
    order: createFindings('stream'),
    divergence: createFindings('divergence'),
    verdict: createFindings('verdict'),
  };
  const fold = foldChecked(findings.divergence);
  const judge = judgeStream(findings.verdict);
  let due = 1;
  let lastIndex = -1;
  let isRegular = true;
  return {
    findings,
    /** Versions rise one by one with the log: rows by version are rows in log order. */
    get isRegular() {
      return isRegular;
    },
    see(row: FactRow): void {
      const { event, log_index } = row;
      if (event.stream_version !== due || log_index <= lastIndex) isRegular = false;
      if (event.stream_version !== due) {
        const detail = `version ${event.stream_version} of ${event.stream_id} comes where ${due} is due`;
        findings.order.add('version_order', detail, subjectOfRow(row));
      }
      due = event.stream_version + 1;
      lastIndex = log_index;
      const read = readFact(event);
      fold(row, read.ok ? read.fact : undefined);
      if (read.ok) judge(row, read.fact);
    },
  };
}

export interface StreamsOptions {
  /** Facts after it are not looked at. */
  readonly head: number;
  /** Facts up to `head`, as the log has them. */
  readonly expected: number;
  readonly signal: AbortSignal;
  /** Called with the facts of a page. */
  readonly onPage: (facts: number) => void;
}

/** `stream`: the versions of each rise by one in log order, and no fact is missing from its stream. */
export async function checkStreams(db: Pool, { head, expected, signal, onPage }: StreamsOptions) {
  const order = createSortedFindings('stream');
  const divergence = createSortedFindings('divergence');
  const verdict = createSortedFindings('verdict');
  let stream: string | undefined;
  let check = checkStream();
  let seen = 0;

  async function endStream(): Promise<void> {
    if (!check.isRegular) {
      check = checkStream();
      const { rows } = await db.query<Row>(`${FACTS} AND e.stream_id = $2 ORDER BY l.log_index`, [head, stream]);
      for (const { log_index, ...event } of rows) check.see({ log_index, event });
    }
    order.addAll(check.findings.order);
    divergence.addAll(check.findings.divergence);
    verdict.addAll(check.findings.verdict);
    check = checkStream();
  }

  const next = async (last: Row | undefined, limit: number) => {
    const text = `${FACTS} AND (e.stream_id, e.stream_version) > ($2, $3) ORDER BY e.stream_id, e.stream_version LIMIT $4`;
    const after = last ? [last.stream_id, last.stream_version] : BEFORE_ALL;
    return (await db.query<Row>(text, [head, ...after, limit])).rows;
  };
  for await (const rows of rowPages(next, (row) => row.data.length)) {
    signal.throwIfAborted();
    for (const { log_index, ...event } of rows) {
      if (stream !== undefined && event.stream_id !== stream) await endStream();
      stream = event.stream_id;
      check.see({ log_index, event });
    }
    seen += rows.length;
    onPage(rows.length);
  }
  if (stream !== undefined) await endStream();
  if (seen !== expected) {
    const detail = `the log has ${expected} facts, and ${seen} are found by their streams: an index of the database is broken, or two facts are one version`;
    order.add('stream_incomplete', detail);
  }
  return { order, divergence, verdict };
}
