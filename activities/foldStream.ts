/** A stream as its machine sees it now, for the load activities. */
import { LifecycleError, type ErrorCode } from '../domain/errors.ts';
import type { StoredEvent } from '../domain/events/envelope.ts';
import type { Folded, Machine } from '../machines/fold.ts';
import type { EventStore } from '../store/log/eventStore.ts';

export interface Standing<C> {
  readonly stream: string;
  readonly folded: Folded<C>;
  readonly events: readonly StoredEvent[];
  /** The database's clock at the read, Unix ms. */
  readonly now: number;
}

/** @throws LifecycleError `missing` where the stream does not exist; `stream_diverged` where its machine refuses a fact */
export async function foldStream<C>(
  log: Pick<EventStore, 'load'>,
  machine: Machine<C>,
  stream: string,
  missing: ErrorCode,
): Promise<Standing<C>> {
  const loaded = await log.load([stream]);
  const events = loaded.streams.get(stream) ?? [];
  if (events.length === 0) throw new LifecycleError(missing, `${stream} has no facts.`);
  const folded = machine.fold(events);
  if (folded.divergence) {
    const { type, version, state } = folded.divergence;
    throw new LifecycleError('stream_diverged', `${stream} holds ${type} (version ${version}), refused in ${state}.`);
  }
  return { stream, folded, events, now: loaded.now.getTime() };
}
