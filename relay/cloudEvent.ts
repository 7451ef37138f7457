/** The CloudEvents 1.0 attributes of a fact (docs/design/event-log.md "Names outside the log"). */
import { parseStream } from '../domain/events/streams.ts';
import { factTypeName } from './subjects.ts';

/** What the attributes are made of. */
export interface PublishedFact {
  readonly eventId: string;
  readonly stream: string;
  readonly type: string;
  readonly schemaVersion: number;
  readonly actor: { readonly kind: string; readonly id: string };
  readonly correlationId: string | null;
  readonly causationId: string | null;
  readonly recordedAt: string;
  readonly logIndex: number;
}

function subjectOf(stream: string): string {
  const parsed = parseStream(stream);
  switch (parsed?.kind) {
    case 'model':
      return `models/${parsed.modelId}`;
    case 'version':
      return `models/${parsed.modelId}/versions/${parsed.version}`;
    case 'training':
      return `training/${parsed.runId}`;
    case 'rollout':
      return `rollouts/${parsed.rolloutId}`;
    case undefined:
      return `streams/${stream}`;
  }
}

// Words of the CloudEvents authentication-context extension.
const AUTH: Readonly<Record<string, string>> = {
  key: 'api_key',
  device: 'app_user',
  workflow: 'system',
  system: 'system',
};

/** Attributes without `data`. `sequence` is the log index in 20 digits, since CloudEvents integers have 32 bits. */
export function cloudEventAttributes(fact: PublishedFact, source: string): Record<string, string> {
  const type = factTypeName(fact.stream, fact.type, fact.schemaVersion);
  return {
    specversion: '1.0',
    id: fact.eventId,
    source,
    type,
    subject: subjectOf(fact.stream),
    time: fact.recordedAt,
    timestamp: fact.recordedAt, // the same bytes suit Standard Webhooks
    sequence: String(fact.logIndex).padStart(20, '0'),
    partitionkey: fact.stream,
    ...(fact.correlationId === null ? {} : { correlationid: fact.correlationId }),
    ...(fact.causationId === null ? {} : { causationid: fact.causationId }),
    authtype: AUTH[fact.actor.kind] ?? 'unknown',
    authid: fact.actor.id,
    dataschema: `/schemas/${type}.json`,
    datacontenttype: 'application/json',
  };
}

/** A header value: printable ASCII but space, quote and percent; the rest percent-encoded. @source CloudEvents HTTP binding 3.1.3.2 */
export function headerValue(value: string): string {
  return value.replaceAll(
    /[^\x21\x23\x24\x26-\x7e]/gu,
    (c) => (/[\ud800-\udfff]/u.test(c) ? '%EF%BF%BD' : encodeURIComponent(c)), // half a surrogate pair has no UTF-8
  );
}
