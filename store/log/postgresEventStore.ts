/** The event log in Postgres: the port of `eventStore.ts`, over the functions of `store/sql/migrations`. */
import { Kysely, PostgresDialect } from 'kysely';
import { asLogIndex, type LogIndex } from '../../domain/brands.ts';
import type { EventIn, StoredEvent } from '../../domain/events/envelope.ts';
import { createPool, type Waits } from '../connect.ts';
import { mapInTurns } from '../turns.ts';
import { shareNext } from '../shareNext.ts';
import { namedSql } from '../sql/namedSql.ts';
import { resolveAsOf } from './asOf.ts';
import { createAppendNotifier } from './appendNotifier.ts';
import { createSnapshotTable } from '../snapshots/snapshotTable.ts';
import type { Snapshot } from '../snapshots/snapshot.ts';
import type { AppendedEvent, AppendResult, Beginning, EventStore, Lane, Loaded, StreamPart } from './eventStore.ts';
import { createIndexWaiter } from './indexWaiter.ts';
import { eventToFold, sequencedEventOf, type SequencedRow, type RawLogRow } from './rows.ts';
import { selectEvents, selectLog, selectRawLog, type LogDatabase } from './tables.ts';
import { appendAlone, inTransaction } from './transactions.ts';

export interface EventStoreOptions {
  /** As `edgeml_app`. */
  readonly connectionString: string;
  readonly logger?: { warn(detail: object, message: string): void };
  /** Connections per lane. Stops have their own few, so that they never queue behind uploads that wait for a round's lock. */
  readonly connections?: Partial<Record<Lane | 'read', number>>;
  /** Who waits for the answers; `question` without it. `stop`: a store of its own for stops, which shares nothing with others. */
  readonly waits?: Waits;
}

export interface PostgresEventStore extends EventStore {
  /** Rows as stored, undecoded, with `logIndex > after`, in order. For those who check or pass on bytes. */
  readRawLog(after: number, limit: number): Promise<RawLogRow[]>;
  /** Ends every connection; statements under way are answered first. */
  close(): Promise<void>;
}

const LOAD = namedSql('load');
const STREAM_VERSIONS = namedSql('stream_versions');
const HEAD = namedSql('log_head');

interface StreamVersion {
  readonly stream_id: string;
  readonly stream_version: number;
}
const CONNECTIONS = { command: 10, stop: 2, upload: 4, read: 6 };

type LoadRow = SequencedRow & { readonly now: Date } & (
    | { readonly part: null }
    | { readonly part: 0; readonly same_request: boolean }
    | { readonly part: 1; readonly holds: boolean; readonly fold: string; readonly checksum: string }
    | { readonly part: 2 }
  );

function loadedOf(streams: readonly string[], rows: readonly LoadRow[]): Loaded {
  const events = new Map<string, StoredEvent[]>(streams.map((s) => [s, []]));
  const snapshots = new Map<string, { readonly snapshot: Snapshot; readonly holds: boolean }>();
  const known: { readonly event: AppendedEvent; readonly sameRequest: boolean }[] = [];
  for (const row of rows) {
    const { event_id: eventId, stream_id: stream, stream_version: version, type } = row;
    if (row.part === 0) known.push({ event: { id: eventId, type, stream, version }, sameRequest: row.same_request });
    if (row.part === 1) {
      const { fold, checksum, data: state, holds } = row;
      snapshots.set(stream, { snapshot: { stream, fold, version, eventId, state, checksum }, holds });
    }
    if (row.part === 2) events.get(stream)!.push(eventToFold(row));
  }
  const beginnings = new Map<string, Beginning>();
  for (const [stream, facts] of events) {
    const found = snapshots.get(stream);
    // Where a snapshot stands, the first fact comes beside those after it.
    const first = found?.holds ? facts.shift() : facts[0];
    const snapshot = found?.snapshot;
    beginnings.set(stream, {
      first,
      snapshot: found?.holds ? snapshot : undefined,
      void: found?.holds ? undefined : snapshot,
    });
  }
  return {
    streams: events,
    beginnings,
    known:
      known.length === 0
        ? undefined
        : { events: known.map((k) => k.event), sameRequest: known.every((k) => k.sameRequest) },
    now: rows[0]!.now,
  };
}

/** Opens pools lazily; the first query connects. The caller closes it. */
export function createEventStore(options: EventStoreOptions): PostgresEventStore {
  const { connectionString, logger, waits = 'question' } = options;
  const sizes = { ...CONNECTIONS, ...options.connections };
  const pool = (name: Lane | 'read' | 'notify' | 'snapshots', max: number) =>
    createPool({
      connectionString,
      max,
      name: waits === 'stop' ? `stop ${name}` : name,
      waits: name === 'stop' ? 'stop' : waits,
      // NOTIFY commits like a write; its loss costs a poll, and a snapshot's a longer fold.
      isDurable: name !== 'notify' && name !== 'snapshots',
      onError: (error) => logger?.warn({ pool: name, error: error.message }, 'an idle connection to Postgres was lost'),
    });
  const lanes = {
    command: pool('command', sizes.command),
    stop: pool('stop', sizes.stop),
    upload: pool('upload', sizes.upload),
  };
  const reads = pool('read', sizes.read);
  const notifying = pool('notify', 1);
  const behind = pool('snapshots', 1);
  const snapshots = createSnapshotTable(behind, logger);
  const db = new Kysely<LogDatabase>({ dialect: new PostgresDialect({ pool: reads }) });
  const notifier = createAppendNotifier(notifying);
  const notify = () => notifier.notify();

  async function logIndexes(ids: string[]): Promise<Map<string, LogIndex | null>> {
    const rows = await db
      .selectFrom('store.events as e')
      .leftJoin('store.log as l', 'l.position', 'e.position')
      .select(['e.event_id', 'l.log_index'])
      .where('e.event_id', 'in', ids)
      .execute();
    return new Map(rows.map((r) => [r.event_id, r.log_index === null ? null : asLogIndex(r.log_index)]));
  }
  const placed = async (ids: string[]) =>
    new Map([...(await logIndexes(ids))].filter((entry): entry is [string, LogIndex] => entry[1] !== null));
  const waiter = createIndexWaiter(connectionString, placed);

  const store: PostgresEventStore = {
    async load(streams, command, { folds, upTo } = {}) {
      const hash = command?.hash ? Buffer.from(command.hash) : null;
      const values = [streams, command?.id ?? null, hash, folds ?? streams.map(() => null), upTo ?? null];
      const { rows } = await reads.query<LoadRow>({ name: 'load', text: LOAD, values });
      return loadedOf(streams, rows);
    },

    tendSnapshots: (upkeep) => snapshots.tend(upkeep),

    append(request, { lane = 'command', also } = {}): Promise<AppendResult> {
      if (!also) return appendAlone(lanes[lane], request, notify);
      return store.transaction(lane, async (tx) => {
        const result = await tx.append(request);
        if (result.outcome === 'appended') await also(tx);
        return result;
      });
    },

    transaction: (lane, body) => inTransaction(lanes[lane], body, notify),

    readStream: (stream, upTo) => store.readPart(stream, { upTo }),

    async readPart<S extends string>(stream: S, { after, upTo, types, limit, fromEnd = false }: StreamPart) {
      let query = selectEvents(db)
        .where('e.stream_id', '=', stream)
        .orderBy('e.stream_version', fromEnd ? 'desc' : 'asc');
      if (after !== undefined) query = query.where('e.stream_version', '>', after);
      if (upTo !== undefined) query = query.where('l.log_index', '<=', upTo);
      if (types !== undefined) query = query.where('e.type', 'in', types);
      if (limit !== undefined) query = query.limit(limit);
      // `decode` admits to a stream only facts of its kind.
      const events = (await query.execute()).map((row) => eventToFold(row) as EventIn<S>);
      return fromEnd ? events.reverse() : events;
    },

    async streamVersions(streams) {
      const values = [streams];
      const { rows } = await reads.query<StreamVersion>({ name: 'stream versions', text: STREAM_VERSIONS, values });
      return new Map(rows.map((row) => [row.stream_id, row.stream_version]));
    },

    readLog: async (after, limit) => mapInTurns(await selectLog(db, after, limit).execute(), sequencedEventOf),

    async readRawLog(after, limit) {
      const rows = await selectRawLog(db, after, limit).execute();
      return rows.map(({ log_index, position, leaf_hash, sequenced_at, ...event }) => ({
        log_index,
        position,
        leaf_hash,
        sequenced_at,
        // Safe: a left join gives all of the event's columns or none, and event_id is never null in the table.
        event: event.event_id === null ? null : (event as RawLogRow['event']),
      }));
    },

    head: shareNext(async () => {
      const { rows } = await reads.query<{ log_index: number }>({ name: 'head', text: HEAD });
      return asLogIndex(rows[0]?.log_index ?? -1);
    }),

    logIndexOf: async (eventId) => (await logIndexes([eventId])).get(eventId),
    awaitLogIndex: (eventId, waitMs) => waiter.wait(eventId, waitMs),
    resolveAsOf: (asOf) =>
      resolveAsOf(asOf, { pool: reads, head: () => store.head(), logIndexOf: (id) => store.logIndexOf(id) }),

    async close() {
      notifier.close();
      await Promise.all([waiter.close(), snapshots.idle()]);
      await Promise.all([...Object.values(lanes), notifying, behind].map((p) => p.end()));
      await db.destroy(); // ends `reads`, unless nothing was ever read through it
      if (!reads.ended) await reads.end();
    },
  };
  return store;
}
