/** What an operator does once after a restore into another cluster: starts a new era, so that old and new xids never compare. */
import pg from 'pg';
import { ownerConfig } from './connect.ts';
import { leafOf } from './log/leaf.ts';
import type { EventRow } from './log/rows.ts';

const UNPLACED = `
  SELECT e.position, e.event_id, e.stream_id, e.stream_version, e.type, e.schema_version, e.machine, e.actor_kind, e.actor_id,
         e.command_id, e.command_seq, e.correlation_id, e.causation_id, e.recorded_at, e.data::text AS data
    FROM store.events e WHERE NOT EXISTS (SELECT FROM store.log l WHERE l.position = e.position)
   ORDER BY min(e.position) OVER (PARTITION BY e.command_id), e.position`;

const HEAD = `
  SELECT s.era, s.next_index, clock_timestamp()::timestamptz(3) AS now,
         (SELECT l.sequenced_at FROM store.log l ORDER BY l.log_index DESC LIMIT 1) AS sequenced_at,
         s.system_identifier = c.system_identifier AND s.database_oid = d.oid AS is_same
    FROM store.sequencer s, pg_control_system() c, pg_database d WHERE d.datname = current_database() FOR UPDATE OF s`;

const PLACE = `
  INSERT INTO store.log (log_index, position, leaf_hash, sequenced_at)
  SELECT $1::bigint + u.ord - 1, u.position, u.leaf, $4::timestamptz
    FROM unnest($2::bigint[], $3::bytea[]) WITH ORDINALITY u(position, leaf, ord) ORDER BY u.ord`;

const MOVE = `
  UPDATE store.sequencer SET era = $1, last_xid = '0', last_position = 0, next_index = $2,
         system_identifier = (SELECT system_identifier FROM pg_control_system()),
         database_oid = (SELECT oid FROM pg_database WHERE datname = current_database())`;

interface Head {
  readonly era: number;
  readonly next_index: number;
  readonly now: Date;
  readonly sequenced_at: Date | null;
  readonly is_same: boolean;
}

export type Rebased =
  | { readonly outcome: 'same_cluster'; readonly era: number }
  /** `placed`: facts of the tail that had no log index yet; they have it now, from `firstIndex` on. */
  | { readonly outcome: 'rebased'; readonly era: number; readonly firstIndex: number; readonly placed: number };

/**
 * One transaction, as the owner: (1) new appends belong to the next era, which waits for writers under way; (2) facts that have
 * no index yet get one by position (xids of two clusters mix, but positions are drawn under the stream's lock, so streams stay
 * in order), the facts of one append side by side, though appends at a time draw positions in turn; (3) the cursor starts afresh with this cluster's identity. A crash leaves everything as it was. Appends wait
 * meanwhile; the tail must fit into memory.
 *
 * @param migrateUrl as who may act as the owner and read `pg_control_system()`
 * @returns `same_cluster`, and nothing is changed, where the database is where it was
 */
export async function rebase(migrateUrl: string): Promise<Rebased> {
  const db = new pg.Client(ownerConfig(migrateUrl, 'rebase'));
  db.on('error', () => undefined); // the query under way fails too
  await db.connect();
  try {
    await db.query('BEGIN');
    await db.query('SET LOCAL ROLE edgeml_owner');
    await db.query('LOCK TABLE store.events IN ACCESS EXCLUSIVE MODE');
    const head = (await db.query<Head>(HEAD)).rows[0]!;
    if (head.is_same) return { outcome: 'same_cluster', era: head.era };
    const era = head.era + 1;
    await db.query(`ALTER TABLE store.events ALTER era SET DEFAULT ${Number(era)}`);
    const { rows } = await db.query<EventRow & { position: number }>(UNPLACED);
    const at = new Date(Math.max(head.now.getTime(), head.sequenced_at?.getTime() ?? 0));
    const leaves = rows.map((row, i) => Buffer.from(leafOf(row, head.next_index + i, at)));
    await db.query(PLACE, [head.next_index, rows.map((r) => r.position), leaves, at.toISOString()]);
    await db.query(MOVE, [era, head.next_index + rows.length]);
    await db.query('COMMIT');
    return { outcome: 'rebased', era, firstIndex: head.next_index, placed: rows.length };
  } finally {
    await db.end(); // without COMMIT: rolled back
  }
}
