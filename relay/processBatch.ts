/** Pure. What a batch of facts means to the processes: which begin, which are signalled, which are over. */
import type { SequencedEvent } from '../domain/events/envelope.ts';
import { processesTouched, type FactSignal } from '../domain/events/processes.ts';
import type { ProcessChange } from '../store/processes/processTable.ts';

export interface ProcessNews {
  readonly change: ProcessChange;
  /** The last fact that signals it: one signal a process and batch. */
  readonly signal: FactSignal | undefined;
}

/** A process knows what it wrote itself. */
const wroteIt = (event: SequencedEvent, process: string) =>
  event.actor.kind === 'workflow' && event.actor.id === process;

const signalOf = (event: SequencedEvent): FactSignal => ({
  v: 1,
  stream: event.stream,
  streamVersion: event.version,
  type: event.fact.type,
  eventId: event.id,
  logIndex: event.logIndex,
});

/** @param events facts in log order @returns one entry a process, in the order in which they were first touched */
export function newsOf(events: readonly SequencedEvent[]): ProcessNews[] {
  const found = new Map<string, ProcessNews>();
  for (const event of events) {
    // Facts are JSON objects; their schema was checked when they were read.
    const data = event.fact.data as Readonly<Record<string, unknown>>;
    for (const touch of processesTouched(event.stream, event.fact.type, data)) {
      const before = found.get(touch.id);
      const signal = touch.signals && !wroteIt(event, touch.id) ? signalOf(event) : before?.signal;
      found.set(touch.id, {
        signal,
        change: {
          id: touch.id,
          kind: touch.kind,
          stream: event.stream,
          opened: (before?.change.opened ?? false) || touch.starts,
          closed: (before?.change.closed ?? false) || touch.ends,
          due: signal?.streamVersion ?? 0,
          signalled: 0,
          startedBy: touch.starts ? event.id : (before?.change.startedBy ?? event.id),
          correlationId: touch.starts ? event.correlationId : (before?.change.correlationId ?? event.correlationId),
          at: event.recordedAt,
        },
      });
    }
  }
  return [...found.values()];
}
