/** The arguments and the answer of the SQL function `store.append`. */
import { decode } from '../../domain/events/codec.ts';
import type { Appended, AppendRequest, AppendResult, Expected } from './eventStore.ts';
import { checkEnvelope, factText } from './gate.ts';

const asNumber = (expected: Expected): number => {
  if (expected === 'none') return 0;
  if (expected === 'exists') return -1;
  if (expected === 'any') return -2;
  if (!Number.isSafeInteger(expected) || expected < 0) {
    throw new Error(`expected version ${expected} is not a version; use an integer from 0, 'none', 'exists' or 'any'`);
  }
  return expected;
};

/**
 * The bytes that will be stored: past the gate, and checked by the codec that must read them back. A fact that the codec refuses
 * is a bug, so it throws.
 */
function dataText(event: AppendRequest['events'][number]): string {
  const text = factText(event);
  const decoded = decode(event.stream, event.fact.type, event.schemaVersion, JSON.parse(text));
  if (!decoded.ok) {
    throw new Error(
      `${event.fact.type} for ${event.stream} does not fit its schema at "${decoded.pointer}": ${decoded.why}`,
    );
  }
  return text;
}

/**
 * Values for `store/sql/append.sql`.
 *
 * @throws LifecycleError `invalid_input` at the gate; Error for a fact that its schema refuses (a bug of the caller)
 */
export function appendValues(request: AppendRequest): unknown[] {
  checkEnvelope(request);
  const { events, expected } = request;
  return [
    request.commandId,
    request.commandHash === null ? null : Buffer.from(request.commandHash),
    request.actor.kind,
    request.actor.id,
    request.correlationId,
    request.causationId,
    [...expected.keys()],
    [...expected.values()].map(asNumber),
    events.map((e) => e.stream),
    events.map((e) => e.id),
    events.map((e) => e.fact.type),
    events.map((e) => e.schemaVersion),
    events.map((e) => e.machine),
    events.map(dataText),
  ];
}

/**
 * Values for `store/sql/append_one.sql`; undefined where the request is not one event on the one stream it names.
 *
 * @throws as {@link appendValues}
 */
export function appendOneValues(request: AppendRequest): unknown[] | undefined {
  const [event] = request.events;
  if (!event || request.events.length > 1 || request.expected.size > 1) return undefined;
  const expected = request.expected.get(event.stream);
  if (expected === undefined) return undefined;
  checkEnvelope(request);
  return [
    request.commandId,
    request.commandHash === null ? null : Buffer.from(request.commandHash),
    request.actor.kind,
    request.actor.id,
    request.correlationId,
    request.causationId,
    event.stream,
    asNumber(expected),
    event.id,
    event.fact.type,
    event.schemaVersion,
    event.machine,
    dataText(event),
  ];
}

/** What the function returns, as its header says. */
export type AppendAnswer =
  | { outcome: 'appended'; ids: string[]; versions: number[] }
  | {
      outcome: 'duplicate';
      sameRequest: boolean;
      ids: string[];
      versions: number[];
      streams: string[];
      types: string[];
    }
  | { outcome: 'conflict'; conflicts: { stream: string; actual: number }[] };

/** The answer of `append_one`, which says no more than the version, in the words of the port. */
export function appendedOne(request: AppendRequest, version: number): AppendResult {
  return appendResult(request, { outcome: 'appended', ids: request.events.map((e) => e.id), versions: [version] });
}

/** The answer in the words of the port. */
export function appendResult(request: AppendRequest, answer: AppendAnswer): AppendResult {
  switch (answer.outcome) {
    case 'appended':
      return {
        outcome: 'appended',
        events: request.events.map((e, i) => ({
          id: e.id,
          type: e.fact.type,
          stream: e.stream,
          version: answer.versions[i]!,
        })),
      };
    case 'duplicate': {
      const events: Appended = answer.ids.map((id, i) => ({
        id,
        type: answer.types[i]!,
        stream: answer.streams[i]!,
        version: answer.versions[i]!,
      }));
      return { outcome: 'duplicate', events, sameRequest: answer.sameRequest };
    }
    case 'conflict':
      return {
        outcome: 'conflict',
        conflicts: answer.conflicts.map(({ stream, actual }) => ({
          stream,
          actual,
          expected: request.expected.get(stream)!,
        })),
      };
  }
}
