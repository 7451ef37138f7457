/** The port of the event log. Durable when it returns; concurrent; ordered by `logIndex`; idempotent by command id. */
import type { LogIndex, StreamVersion } from '../../domain/brands.ts';
import type { Actor, EventIn, SequencedEvent, StoredEvent } from '../../domain/events/envelope.ts';
import type { AnyFact } from '../../domain/events/streams.ts';
import type { Queryable } from '../queryable.ts';
import type { Snapshot } from '../snapshots/snapshot.ts';
import type { Upkeep } from '../snapshots/snapshotTable.ts';

/** A version exactly, or: the stream must not exist, must exist, may be anything. */
export type Expected = number | 'none' | 'exists' | 'any';

export interface AppendedEvent {
  readonly id: string;
  readonly type: string;
  readonly stream: string;
  readonly version: number;
}
export type Appended = readonly AppendedEvent[];

export interface AppendRequest {
  readonly commandId: string;
  /** SHA-256 of the command (not of the events: a retry makes new ids); null where no request stands behind it. */
  readonly commandHash: Uint8Array | null;
  readonly actor: Actor;
  readonly correlationId: string | null;
  readonly causationId: string | null;
  /** Every stream written or only checked, 1 to 64. */
  readonly expected: ReadonlyMap<string, Expected>;
  /** In order; each stream must be in `expected`. */
  readonly events: readonly {
    readonly id: string;
    readonly stream: string;
    readonly machine: string;
    readonly schemaVersion: number;
    readonly fact: AnyFact;
  }[];
}

export type AppendResult =
  | { readonly outcome: 'appended'; readonly events: Appended }
  | { readonly outcome: 'duplicate'; readonly events: Appended; readonly sameRequest: boolean }
  | {
      readonly outcome: 'conflict';
      readonly conflicts: readonly { readonly stream: string; readonly expected: Expected; readonly actual: number }[];
    };

export interface Known {
  readonly events: Appended;
  readonly sameRequest: boolean;
}

/** What a stream's events are to be folded on. */
export interface Beginning {
  /** The first fact of the stream; undefined where it does not exist. */
  readonly first: StoredEvent | undefined;
  /** The newest that was asked for and is within bounds, as it is stored: nobody has checked it. */
  readonly snapshot: Snapshot | undefined;
  /** A snapshot above the log's end, or beside the log: its fact is not where it says. Never `snapshot` too. */
  readonly void: Snapshot | undefined;
}

export interface LoadOptions {
  /** Beside each stream, the code that will read its snapshot; null where none is wanted. */
  readonly folds?: readonly (string | null)[];
  /** Log index, inclusive: nothing after it. */
  readonly upTo?: LogIndex | undefined;
}

export interface Loaded {
  /**
   * Events of each stream asked for, in version order, after its snapshot; empty where there is none. One that its schema refuses has
   * the type `Undecodable <type>` and no data: its machine refuses it, so the stream has diverged there.
   */
  readonly streams: ReadonlyMap<string, readonly StoredEvent[]>;
  readonly beginnings: ReadonlyMap<string, Beginning>;
  /** The first outcome of `commandId`, if the log holds it already. */
  readonly known: Known | undefined;
  /** The database's clock at the load. */
  readonly now: Date;
}

/** The transaction around an append. `append` is its first write; other writes follow it. It runs READ COMMITTED. */
export interface AppendTransaction extends Queryable {
  append(request: AppendRequest): Promise<AppendResult>;
}

/** Which pool of connections a transaction may use: stops are never queued behind uploads. */
export type Lane = 'command' | 'stop' | 'upload';

export interface StreamPart {
  /** Versions above it. */
  readonly after?: StreamVersion;
  /** Log index, inclusive. */
  readonly upTo?: LogIndex | undefined;
  /** Only facts of these types. */
  readonly types?: readonly AnyFact['type'][];
  /** At most so many; all without it. */
  readonly limit?: number;
  /** The last ones instead of the first. */
  readonly fromEnd?: boolean;
}

export interface EventStore {
  /** One query: the streams (distinct), whether the command is known (and whether its hash is equal), and the time. */
  load(
    streams: readonly string[],
    command?: { readonly id: string; readonly hash: Uint8Array | null },
    options?: LoadOptions,
  ): Promise<Loaded>;

  /** Writes and removes snapshots behind the caller, who does not wait. What is lost is only slower. */
  tendSnapshots(upkeep: Upkeep): void;

  /**
   * Appends, all or nothing. `also` runs in the same transaction, after the append, only if it appended.
   *
   * Outcomes are values; only faults throw. Lost connections, deadlocks and lock time-outs are tried again with the same
   * command id, so a lost answer becomes `duplicate`.
   *
   * @throws Fatal when even the retries could not tell whether it was stored
   */
  append(
    request: AppendRequest,
    options?: { readonly lane?: Lane; readonly also?: (tx: Queryable) => Promise<void> },
  ): Promise<AppendResult>;

  /** The same, where the transaction must read under an advisory lock before it knows what to append. */
  transaction<T>(lane: Lane, body: (tx: AppendTransaction) => Promise<T>): Promise<T>;

  /** Events of one stream, in version order, up to a log index (inclusive) if given; undecodable ones as in {@link Loaded}. */
  readStream<S extends string>(stream: S, upTo?: LogIndex): Promise<EventIn<S>[]>;

  /** Some events of one stream, in version order: what is asked of a long one. */
  readPart<S extends string>(stream: S, part: StreamPart): Promise<EventIn<S>[]>;

  /** The version of each stream's last fact, placed in the log or not; a stream that does not exist is left out. */
  streamVersions(streams: readonly string[]): Promise<ReadonlyMap<string, number>>;

  /** Up to `limit` facts with `logIndex > after`, in order. `after` is -1 for the beginning. */
  readLog(after: number, limit: number): Promise<SequencedEvent[]>;

  /** The greatest log index, or -1. */
  head(): Promise<LogIndex>;

  /** Log index of an event: null while it waits for the sequencer, undefined if there is no such event. */
  logIndexOf(eventId: string): Promise<LogIndex | null | undefined>;

  /** Waits up to `waitMs` for the event's log index; null if the sequencer needs longer. */
  awaitLogIndex(eventId: string, waitMs: number): Promise<LogIndex | null>;

  /**
   * `as_of` → log index: a position, `event:<id>`, or an RFC 3339 time (the greatest index sequenced by then).
   *
   * @throws LifecycleError `as_of_in_future` past the head, `invalid_input` if unreadable, `event_not_found`
   */
  resolveAsOf(asOf: string): Promise<LogIndex>;
}
