/** The log's tables, as Kysely reads them. `data` is always read as text: those bytes are what was hashed. */
import { sql, type Kysely } from 'kysely';

export interface EventsTable {
  position: number;
  era: number;
  /** Transaction id as text: beyond 2^53 in principle, and never used for arithmetic. */
  xid: string;
  event_id: string;
  stream_id: string;
  stream_version: number;
  type: string;
  schema_version: number;
  machine: string;
  actor_kind: string;
  actor_id: string;
  command_id: string;
  command_seq: number;
  command_hash: Buffer | null;
  correlation_id: string | null;
  causation_id: string | null;
  recorded_at: Date;
  data: unknown;
}

export interface LogTable {
  log_index: number;
  position: number;
  leaf_hash: Buffer;
  sequenced_at: Date;
}

export interface LogDatabase {
  'store.events': EventsTable;
  'store.log': LogTable;
}

/** Columns of an event that mean something outside this database. */
const publicColumns = [
  'e.event_id',
  'e.stream_id',
  'e.stream_version',
  'e.type',
  'e.schema_version',
  'e.machine',
  'e.actor_kind',
  'e.actor_id',
  'e.command_id',
  'e.command_seq',
  'e.correlation_id',
  'e.causation_id',
  'e.recorded_at',
] as const;

const dataText = sql<string>`e.data::text`.as('data');

/** Events with their place in the log, which is null while they wait for the sequencer. */
export const selectEvents = (db: Kysely<LogDatabase>) =>
  db
    .selectFrom('store.events as e')
    .leftJoin('store.log as l', 'l.position', 'e.position')
    .select([...publicColumns, dataText, 'l.log_index', 'l.sequenced_at']);

/** The log from `after` (exclusive), in order. */
export const selectLog = (db: Kysely<LogDatabase>, after: number, limit: number) =>
  db
    .selectFrom('store.log as l')
    .innerJoin('store.events as e', 'e.position', 'l.position')
    .select([...publicColumns, dataText, 'l.log_index', 'l.sequenced_at'])
    .where('l.log_index', '>', after)
    .orderBy('l.log_index')
    .limit(limit);

/** The same with every column, and with log rows whose event is missing: for those who check. */
export const selectRawLog = (db: Kysely<LogDatabase>, after: number, limit: number) =>
  db
    .selectFrom('store.log as l')
    .leftJoin('store.events as e', 'e.position', 'l.position')
    .select([...publicColumns, dataText, 'e.era', 'e.xid', 'e.command_hash'])
    .select(['l.log_index', 'l.position', 'l.leaf_hash', 'l.sequenced_at'])
    .where('l.log_index', '>', after)
    .orderBy('l.log_index')
    .limit(limit);
