/** Streams as their machines see them, at the cost of the facts after the last snapshot. */
import type { StoredEvent } from '../../domain/events/envelope.ts';
import type { Folded } from '../../machines/fold.ts';
import { machineFor } from '../../machines/registry.ts';
import type { EventStore, Known, LoadedTail } from '../log/eventStore.ts';
import { foldKeyOf } from './foldKey.ts';
import { freeze, thaw, type Snapshot, type SnapshotPlace } from './snapshot.ts';

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

export type FoldLog = Pick<EventStore, 'loadTails' | 'tendSnapshots'>;

interface FoldOptions {
  readonly command?: { readonly id: string; readonly hash: Uint8Array | null } | undefined;
  /** Log index up to which, inclusive; all facts without it. */
  readonly upTo?: number | undefined;
}

/** One query; a second one for streams whose snapshot cannot be read. */
export async function foldStreams(
  log: FoldLog,
  streams: readonly string[],
  { command, upTo }: FoldOptions = {},
): Promise<FoldedStreams> {
  const asked = streams.map((stream) => ({ stream, fold: foldKeyOf(stream) }));
  const loaded = await log.loadTails(asked, { command, upTo });
  const damaged: { snapshot: Snapshot; why: string }[] = [];
  const found = new Map<string, FoldedStream>();
  const long: { readonly place: SnapshotPlace; readonly folded: Folded<unknown>; readonly facts: number }[] = [];

  const remember = (stream: string, { first, events }: LoadedTail, from?: Folded<unknown>) => {
    const folded = machineFor(stream).fold(events, from);
    found.set(stream, { first, folded });
    if (events.length <= FACTS_PER_SNAPSHOT) return;
    const place = { stream, fold: foldKeyOf(stream), version: folded.version, eventId: events.at(-1)!.id };
    long.push({ place, folded, facts: events.length });
  };

  const unread: string[] = [];
  for (const [stream, tail] of loaded.streams) {
    if (tail.void) damaged.push({ snapshot: tail.void, why: 'the log holds another fact, or none, at its place' });
    const from = tail.snapshot && thaw(machineFor(stream), tail.snapshot);
    if (!from || !('damaged' in from)) {
      remember(stream, tail, from);
      continue;
    }
    damaged.push({ snapshot: tail.snapshot, why: from.damaged });
    unread.push(stream);
  }
  if (unread.length > 0) {
    const again = unread.map((stream) => ({ stream, fold: null }));
    for (const [stream, tail] of (await log.loadTails(again, { upTo })).streams) remember(stream, tail);
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
