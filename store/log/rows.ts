/** Rows of the log become events here, through `domain/events/codec.ts`, and nowhere else. */
import { asLogIndex, asStreamVersion } from '../../domain/brands.ts';
import { decode } from '../../domain/events/codec.ts';
import type { ActorKind, SequencedEvent, StoredEvent } from '../../domain/events/envelope.ts';

/** Columns of one event as Postgres gives them, `data` as text. */
export interface EventRow {
  readonly event_id: string;
  readonly stream_id: string;
  readonly stream_version: number;
  readonly type: string;
  readonly schema_version: number;
  readonly machine: string;
  readonly actor_kind: string;
  readonly actor_id: string;
  readonly command_id: string;
  readonly command_seq: number;
  readonly correlation_id: string | null;
  readonly causation_id: string | null;
  readonly recorded_at: Date;
  readonly data: string;
}
export interface SequencedRow extends EventRow {
  readonly log_index: number | null;
  readonly sequenced_at: Date | null;
}

/** An event with the columns that stay inside this database. */
export interface RawEvent extends EventRow {
  readonly era: number;
  readonly xid: string;
  readonly command_hash: Buffer | null;
}
/** One row of the log, undecoded; `event` is null where its event is missing. */
export interface RawLogRow {
  readonly log_index: number;
  readonly position: number;
  readonly leaf_hash: Buffer;
  readonly sequenced_at: Date;
  readonly event: RawEvent | null;
}

/** A stored fact that its own schema refuses. Nobody skips it in silence: whoever reads it stops here, or sets it aside. */
export class UndecodableFact extends Error {
  override readonly name = 'UndecodableFact';
  readonly stream: string;
  readonly version: number;
  readonly logIndex: number | null;
  readonly pointer: string;
  readonly type: string;
  /** What its JSON holds; undefined where it is none. */
  readonly data: unknown;
  /** Without the place. */
  readonly why: string;
  constructor(row: SequencedRow, data: unknown, pointer: string, why: string) {
    super(
      `${row.type} v${row.schema_version} at ${row.stream_id}@${row.stream_version} (log index ${row.log_index ?? 'none yet'}) ` +
        `does not decode at "${pointer}": ${why}; run \`edgeml audit verify\``,
    );
    this.stream = row.stream_id;
    this.version = row.stream_version;
    this.logIndex = row.log_index;
    this.pointer = pointer;
    this.type = row.type;
    this.data = data;
    this.why = pointer === '' ? why : `"${pointer}": ${why}`;
  }
}

function parseJson(row: SequencedRow): unknown {
  try {
    return JSON.parse(row.data);
  } catch (error) {
    throw new UndecodableFact(row, undefined, '', `not JSON (${String(error)})`);
  }
}

/** @throws UndecodableFact */
export function eventOf(row: SequencedRow): StoredEvent {
  const data = parseJson(row);
  const decoded = decode(row.stream_id, row.type, row.schema_version, data);
  if (!decoded.ok) throw new UndecodableFact(row, data, decoded.pointer, decoded.why);
  return storedAs(row, decoded.fact);
}

function storedAs(row: SequencedRow, fact: StoredEvent['fact']): StoredEvent {
  return {
    id: row.event_id,
    stream: row.stream_id,
    version: asStreamVersion(row.stream_version),
    fact,
    schemaVersion: row.schema_version,
    machine: row.machine,
    // Safe: only `append` writes it, and its caller's type is ActorKind.
    actor: { kind: row.actor_kind as ActorKind, id: row.actor_id },
    commandId: row.command_id,
    commandSeq: row.command_seq,
    correlationId: row.correlation_id,
    causationId: row.causation_id,
    recordedAt: row.recorded_at.toISOString(),
    logIndex: row.log_index === null ? null : asLogIndex(row.log_index),
    sequencedAt: row.sequenced_at?.toISOString() ?? null,
  };
}

/**
 * For whoever folds a stream to decide: a fact that cannot be read has a type that every machine refuses, so the stream has
 * diverged there, and a stop is decided from the last good state.
 */
export function eventToFold(row: SequencedRow): StoredEvent {
  try {
    return eventOf(row);
  } catch (error) {
    if (!(error instanceof UndecodableFact)) throw error;
    // No fact of ours: a machine looks at the type first, and never at the data of one that it refuses.
    const fact = { type: `Undecodable ${row.type}`, data: {} } as unknown as StoredEvent['fact'];
    return storedAs(row, fact);
  }
}

/** @throws UndecodableFact */
export function sequencedEventOf(row: SequencedRow & { log_index: number; sequenced_at: Date }): SequencedEvent {
  return { ...eventOf(row), logIndex: asLogIndex(row.log_index), sequencedAt: row.sequenced_at.toISOString() };
}
