/** Pure. What surrounds every fact. */
import type { LogIndex, StreamVersion } from '../brands.ts';
import type { AnyFact, FactsByKind, StreamKind, StreamName } from './streams.ts';

export type ActorKind = 'key' | 'device' | 'workflow' | 'system';
/** Who did it. `id` is opaque: key id, device id, process id or a part of this product; names live outside the log. */
export interface Actor {
  readonly kind: ActorKind;
  readonly id: string;
}

/** A fact as stored. `logIndex` and `sequencedAt` are null until the sequencer has seen it. */
export interface StoredEvent<F = AnyFact> {
  readonly id: string;
  readonly stream: string;
  readonly version: StreamVersion;
  readonly fact: F;
  readonly schemaVersion: number;
  /** `name@version` of the machine that accepted it. */
  readonly machine: string;
  readonly actor: Actor;
  readonly commandId: string;
  readonly commandSeq: number;
  readonly correlationId: string | null;
  readonly causationId: string | null;
  /** RFC 3339, UTC, milliseconds; the database's clock at the append. */
  readonly recordedAt: string;
  readonly logIndex: LogIndex | null;
  readonly sequencedAt: string | null;
}
export type StoredEventOf<K extends StreamKind> = StoredEvent<FactsByKind[K]>;
/** What the stream of that name holds: events of its kind, where the type of the name says which. */
export type EventIn<S extends string> = S extends StreamName<infer K> ? StoredEventOf<K> : StoredEvent;

/** A fact that has its place in the log. */
export type SequencedEvent<F = AnyFact> = StoredEvent<F> & {
  readonly logIndex: LogIndex;
  readonly sequencedAt: string;
};
