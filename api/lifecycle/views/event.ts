/** An event as the Lifecycle API shows it. */
import type { StoredEvent } from '../../../domain/events/envelope.ts';
import type { Event } from '../../../wire/event.ts';

export function eventView(event: StoredEvent): Event {
  return {
    position: event.logIndex,
    id: event.id,
    stream: event.stream,
    stream_version: event.version,
    type: event.fact.type,
    machine: event.machine,
    schema_version: event.schemaVersion,
    actor: { kind: event.actor.kind, id: event.actor.id },
    command_id: event.commandId,
    correlation_id: event.correlationId,
    causation_id: event.causationId,
    recorded_at: event.recordedAt,
    sequenced_at: event.sequencedAt,
    data: { ...event.fact.data },
  };
}
