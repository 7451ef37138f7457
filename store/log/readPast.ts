/** Reading on where a fact cannot be read, for those that one such fact must not stop for everybody. */
import type { SequencedEvent } from '../../domain/events/envelope.ts';
import type { EventStore } from './eventStore.ts';
import { UndecodableFact } from './rows.ts';

export interface Passage {
  /** Facts after the place that was asked for, in order. */
  readonly events: readonly SequencedEvent[];
  /** Log index up to which everything is in `events`, or is `unread`; the place that was asked for where nothing follows. */
  readonly upTo: number;
  /** The fact at `upTo`, where it cannot be read: the caller says so aloud. */
  readonly unread: UndecodableFact | undefined;
  readonly isEnd: boolean;
}

/** At most `limit` facts, up to and including the first that cannot be read. */
export async function readPast(log: Pick<EventStore, 'readLog'>, after: number, limit: number): Promise<Passage> {
  try {
    const events = await log.readLog(after, limit);
    return { events, upTo: events.at(-1)?.logIndex ?? after, unread: undefined, isEnd: events.length < limit };
  } catch (error) {
    if (!(error instanceof UndecodableFact) || error.logIndex === null) throw error;
    const before = Math.min(error.logIndex - after, limit) - 1;
    const events = before > 0 ? await log.readLog(after, before) : [];
    return { events, upTo: error.logIndex, unread: error, isEnd: false };
  }
}
