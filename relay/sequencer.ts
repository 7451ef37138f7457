/**
 * The sequencer gives every fact its log index and its leaf hash. Read it in one sitting: whatever is wrong here is wrong for
 * ever. One leader; everything downstream orders by what it writes.
 *
 *   read the facts below the horizon, in (xid, position) order     a crash here leaves everything as it was
 *   move the cursor and write the log rows in one statement        a crash here: both moved, or neither
 *   that statement notifies edgeml_log                                a lost notification: followers poll every second
 *
 * After an unknown result the session is dropped and the next one reads the cursor again.
 */
import { createWakeUp } from '../store/wakeUp.ts';
import type { Client, Session } from '../store/connect.ts';
import { lead, type Logger } from '../store/leader.ts';
import { listen } from '../store/listen.ts';
import { refuseFork } from '../store/ledger/fork.ts';
import type { PublishedCheckpoints } from '../store/ledger/published.ts';
import { leafOf } from '../store/log/leaf.ts';
import type { EventRow } from '../store/log/rows.ts';
import { namedSql } from '../store/sql/namedSql.ts';
import { mapInTurns } from '../store/turns.ts';

const CURSOR = namedSql('sequencer_cursor');
const READ = namedSql('sequencer_read');
const WAITING = namedSql('sequencer_waiting');
const WRITE = namedSql('sequencer_write');

const LIMIT = 1_000;
const HELD_POLL_MS = 5;
const IDLE_POLL_MS = 1_000;
const ALARM_AFTER_MS = 2_000;

export interface SequencedBatch {
  readonly firstIndex: number;
  readonly count: number;
  readonly sequencedAt: Date;
}

export interface SequencerOptions {
  /** As `edgeml_app`, direct: the session holds the leader's lock and makes every write. */
  readonly connectionString: string;
  readonly signal: AbortSignal;
  readonly log: Logger;
  /** What the log is compared with on taking the lead; without it a restore to an earlier moment is not noticed. */
  readonly published?: PublishedCheckpoints;
  /** Told after each batch is stored. */
  readonly onBatch?: (batch: SequencedBatch) => void;
}

/** The row of `store.sequencer` as this leader knows it. */
interface Cursor {
  readonly era: number;
  readonly last_xid: string;
  readonly last_position: number;
  readonly next_index: number;
  readonly sequenced_at: Date | null;
}

type ReadRow = EventRow & { readonly xid: string; readonly position: number; readonly read_at: Date };

/** The data directory was restored into another cluster, or the database was copied: its xids no longer compare. */
export class RebaseRequired extends Error {
  override readonly name = 'RebaseRequired';
  readonly code = 'sequencer_rebase_required';
}

async function readCursor(client: Client): Promise<Cursor> {
  const { rows } = await client.query<Cursor & { is_same: boolean }>(CURSOR);
  const row = rows[0];
  if (!row) throw new Error('store.sequencer has no row; run the migrations');
  if (row.is_same) return row;
  throw new RebaseRequired(
    'sequencer_rebase_required: this database was restored or copied from another cluster, so an old cursor would skip new ' +
      'facts; appends go on, nothing is sequenced until the server was run once with `--rebase`',
  );
}

const keyOf = (c: Cursor) => [c.era, c.last_xid, c.last_position];

async function readSafe(client: Client, cursor: Cursor): Promise<ReadRow[]> {
  const { rows } = await client.query<ReadRow>({ name: 'read', text: READ, values: [...keyOf(cursor), LIMIT] });
  return rows;
}

/** @throws Error if another leader moved the cursor: nothing was written, and this one is no leader */
async function place(
  client: Client,
  cursor: Cursor,
  rows: readonly ReadRow[],
): Promise<Cursor & { sequenced_at: Date }> {
  const last = rows.at(-1)!;
  // The database's clock, never backwards: as_of by time needs a rising order.
  const sequencedAt = new Date(Math.max(last.read_at.getTime(), cursor.sequenced_at?.getTime() ?? 0));
  const leaves = await mapInTurns(rows, (row, i) => Buffer.from(leafOf(row, cursor.next_index + i, sequencedAt)));
  const positions = rows.map((row) => row.position);
  const to = [last.xid, last.position, positions, leaves, sequencedAt.toISOString()];
  const values = [...keyOf(cursor), cursor.next_index, ...to];
  const answer = await client.query<{ placed: number }>({ name: 'write', text: WRITE, values });
  const placed = answer.rows[0]!.placed;
  if (placed !== rows.length)
    throw new Error(`another leader moved the cursor (${placed} of ${rows.length} facts placed)`);
  return {
    era: cursor.era,
    last_xid: last.xid,
    last_position: last.position,
    next_index: cursor.next_index + rows.length,
    sequenced_at: sequencedAt,
  };
}

async function isWaiting(client: Client, cursor: Cursor): Promise<boolean> {
  const { rows } = await client.query<{ is_waiting: boolean }>({
    name: 'waiting',
    text: WAITING,
    values: keyOf(cursor),
  });
  return rows[0]!.is_waiting;
}

/** Says who holds the log back once facts have waited for two seconds, and again every two seconds. */
function createAlarm(client: Client, log: Logger) {
  let since: number | undefined;
  let toldAt = 0;
  return async function note(waiting: boolean, hasProgress: boolean): Promise<void> {
    const now = performance.now();
    if (!waiting) since = undefined;
    else if (hasProgress || since === undefined) since = now;
    if (since === undefined || now - Math.max(since, toldAt) < ALARM_AFTER_MS) return;
    toldAt = now;
    const holders = (await client.query('SELECT * FROM store.horizon_holders()')).rows;
    log.warn(
      { alarm: 'sequencer_lag', lag_ms: Math.round(now - since), holders },
      'an open transaction holds the log back',
    );
  };
}

async function sequence(session: Session, signal: AbortSignal, options: SequencerOptions): Promise<void> {
  const { log, published, onBatch } = options;
  const { client } = session;
  const wakeUp = createWakeUp();
  await listen(session, 'edgeml_append', wakeUp.wake);
  const alarm = createAlarm(client, log);
  let cursor = await readCursor(client);
  if (published) await refuseFork(client, published);
  while (!signal.aborted) {
    const rows = await readSafe(client, cursor);
    if (rows.length > 0) {
      const firstIndex = cursor.next_index;
      const placed = await place(client, cursor, rows);
      cursor = placed;
      onBatch?.({ firstIndex, count: rows.length, sequencedAt: placed.sequenced_at });
    }
    if (rows.length === LIMIT) continue;
    const waiting = await isWaiting(client, cursor);
    await alarm(waiting, rows.length > 0);
    await wakeUp.wait(waiting ? HELD_POLL_MS : IDLE_POLL_MS, signal);
  }
}

/**
 * Sequences until `signal` aborts; never throws. Any number may run: one leads, the others stand by and take over within
 * seconds of its end. A lost connection re-elects. On a restored or copied database it logs `sequencer_rebase_required`
 * and places nothing; on one that was restored to an earlier moment, `ledger_fork`, likewise.
 */
export function runSequencer(options: SequencerOptions): Promise<void> {
  const { connectionString, signal, log } = options;
  return lead({ connectionString, name: 'sequencer', signal, logger: log }, (session, until) =>
    sequence(session, until, options),
  );
}
