/** Streams as their machines see them, at the cost of the facts after the last snapshot. */
import type { LogIndex } from '../../domain/brands.ts';
import type { StoredEvent } from '../../domain/events/envelope.ts';
import type { Folded } from '../../machines/fold.ts';
import { machineFor } from '../../machines/registry.ts';
import type { EventStore, Known, Loaded } from '../log/eventStore.ts';
import { foldKeyOf } from './foldKey.ts';
import { freeze, thaw, type Snapshot, type SnapshotKey } from './snapshot.ts';

/** A fold over more facts than these leaves a snapshot, unless it weighs more than they do: so snapshots never outweigh the log. */
const FACTS_PER_SNAPSHOT = 256;
const BYTES_PER_FACT = 1_024;

export interface FoldedStream {
  /** Its first fact; undefined where the stream does not exist. It says whose the stream is. */
  readonly first: StoredEvent | undefined;
  readonly folded: Folded<unknown>;
}

export interface FoldedStreams {
  readonly streams: ReadonlyMap<string, FoldedStream>;
  readonly known: Known | undefined;
  /** The database's clock at the load. */
  readonly now: Date;
  /** Leaves snapshots, and reports damaged ones. The caller calls it once its own work is done; without it nothing is lost. */
  afterwards(): void;
}

export type FoldLog = Pick<EventStore, 'load' | 'tendSnapshots'>;

interface FoldOptions {
  readonly command?: { readonly id: string; readonly hash: Uint8Array | null } | undefined;
  /** Log index up to which, inclusive; all facts without it. */
  readonly upTo?: LogIndex | undefined;
}

/** One query; a second one for streams whose snapshot cannot be read. */
export async function foldStreams(
  log: FoldLog,
  streams: readonly string[],
  { command, upTo }: FoldOptions = {},
): Promise<FoldedStreams> {
  const loaded = await log.load(streams, command, { folds: streams.map(foldKeyOf), upTo });
  const damaged: { snapshot: Snapshot; why: string }[] = [];
  const found = new Map<string, FoldedStream>();
  const long: { readonly place: SnapshotKey; readonly folded: Folded<unknown>; readonly facts: number }[] = [];

  const remember = (stream: string, from: Loaded, snapshot?: Folded<unknown>) => {
    const events = from.streams.get(stream) ?? [];
    const folded = machineFor(stream).fold(events, snapshot);
    found.set(stream, { first: from.beginnings.get(stream)?.first, folded });
    if (events.length <= FACTS_PER_SNAPSHOT) return;
    const place = { stream, fold: foldKeyOf(stream), version: folded.version, eventId: events.at(-1)!.id };
    long.push({ place, folded, facts: events.length });
  };

  const unread: string[] = [];
  for (const [stream, { snapshot, void: beside }] of loaded.beginnings) {
    if (beside) damaged.push({ snapshot: beside, why: 'the log holds another fact, or none, at its place' });
    const thawed = snapshot && thaw(machineFor(stream), snapshot);
    if (!thawed || !('damaged' in thawed)) {
      remember(stream, loaded, thawed);
      continue;
    }
    damaged.push({ snapshot, why: thawed.damaged });
    unread.push(stream);
  }
  if (unread.length > 0) {
    const whole = await log.load(unread, undefined, { upTo });
    for (const stream of unread) remember(stream, whole);
  }

  return {
    streams: found,
    known: loaded.known,
    now: loaded.now,
    afterwards() {
      const keep = long.flatMap(({ place, folded, facts }) => {
        const snapshot = freeze(folded, place);
        return snapshot && snapshot.state.length <= facts * BYTES_PER_FACT ? [snapshot] : [];
      });
      if (keep.length + damaged.length > 0) log.tendSnapshots({ keep, damaged });
    },
  };
}
