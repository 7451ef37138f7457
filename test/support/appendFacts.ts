/** Facts that somebody else has found legal, put into a log by its own append. */
import { randomUUID } from 'node:crypto';
import { currentSchemaVersion } from '../../domain/events/codec.ts';
import type { AnyFact } from '../../domain/events/streams.ts';
import { machineFor } from '../../machines/registry.ts';
import type { EventStore } from '../../store/log/eventStore.ts';

export interface StreamFact {
  readonly stream: string;
  readonly fact: AnyFact;
}

/**
 * One append, of at most 64 streams, whatever their versions are.
 *
 * @returns id of the last fact
 * @throws Error where it was not appended
 */
export async function appendFacts(
  store: Pick<EventStore, 'append'>,
  facts: readonly StreamFact[],
  commandId: string = randomUUID(),
): Promise<string> {
  const events = facts.map(({ stream, fact }) => ({
    id: randomUUID(),
    stream,
    fact,
    machine: machineFor(stream).name,
    schemaVersion: currentSchemaVersion(stream, fact.type),
  }));
  const result = await store.append({
    commandId,
    commandHash: null,
    actor: { kind: 'system', id: 'test' },
    correlationId: null,
    causationId: null,
    expected: new Map(facts.map(({ stream }) => [stream, 'any'])),
    events,
  });
  if (result.outcome !== 'appended') throw new Error(`${facts.length} facts were not appended: ${result.outcome}`);
  return events.at(-1)!.id;
}
