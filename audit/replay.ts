/** How a stream came to its state, fact by fact; and what it was at any place of the log. */
import type { LogIndex } from '../domain/brands.ts';
import { LifecycleError } from '../domain/errors.ts';
import type { StoredEvent } from '../domain/events/envelope.ts';
import { parseStream } from '../domain/events/streams.ts';
import type { StreamState } from '../domain/states.ts';
import { toFactEvent, type Folded } from '../machines/fold.ts';
import { machineFor } from '../machines/registry.ts';
import type { EventStore } from '../store/log/eventStore.ts';

type Log = Pick<EventStore, 'readStream' | 'resolveAsOf'>;

export interface ReplayedFact {
  readonly event: StoredEvent;
  /** Dotted state of the machine before and after the fact. */
  readonly stateBefore: StreamState;
  readonly stateAfter: StreamState;
  /** Names of the chart's guards that let it through; empty where the state alone allows it. */
  readonly guards: readonly string[];
  /** The machine refuses it here: the state stays, and what follows is not folded. */
  readonly isDivergent: boolean;
}

export interface Replay {
  readonly stream: string;
  readonly state: StreamState;
  readonly context: unknown;
  readonly version: number;
  readonly facts: readonly ReplayedFact[];
}

/**
 * Where a replay ends, inclusive: `version:<n>` of the stream, or what `as_of` takes (log index, `event:<id>`, RFC 3339 time).
 * Absent: every fact, also those that wait for their index.
 */
export type ReplayTo = string;

async function factsUpTo(log: Log, stream: string, to: ReplayTo | undefined): Promise<StoredEvent[]> {
  if (to === undefined) return log.readStream(stream);
  const version = /^version:(\d{1,15})$/.exec(to)?.[1];
  if (version === undefined) return log.readStream(stream, await log.resolveAsOf(to));
  const events = await log.readStream(stream);
  if (Number(version) <= events.length) return events.slice(0, Number(version));
  const detail = `${stream} has ${events.length} facts; ask for version:${events.length} or less`;
  throw new LifecycleError('as_of_in_future', detail, { more: { head: events.length } });
}

/**
 * Replays a stream through its machine.
 *
 * @throws LifecycleError `stream_not_found`, `as_of_in_future`, `invalid_input`, `event_not_found`
 */
export async function replay(log: Log, stream: string, to?: ReplayTo): Promise<Replay> {
  if (!parseStream(stream))
    throw new LifecycleError('stream_not_found', `${stream} is no stream name; expected kind-id.`);
  const events = await factsUpTo(log, stream, to);
  if (events.length === 0 && (await log.readStream(stream)).length === 0) {
    throw new LifecycleError('stream_not_found', `${stream} holds no fact.`);
  }
  const machine = machineFor(stream);
  let folded = machine.initial();
  const facts = events.map((event): ReplayedFact => {
    const fact = toFactEvent(event);
    const guards = machine.guardsMet(folded, fact);
    const wasDivergent = folded.divergence !== undefined;
    const next = machine.step(folded, fact);
    const line = {
      event,
      stateBefore: folded.state,
      stateAfter: next.state,
      guards: wasDivergent ? [] : guards,
      isDivergent: next.divergence !== undefined,
    };
    folded = next;
    return line;
  });
  return { stream, state: folded.state, context: folded.context, version: folded.version, facts };
}

/** The state of a stream at a log index, inclusive, by folding from its first fact. */
export async function foldAsOf(
  log: Pick<EventStore, 'readStream'>,
  stream: string,
  logIndex: LogIndex,
): Promise<Folded<unknown>> {
  return machineFor(stream).fold(await log.readStream(stream, logIndex));
}
