/**
 * The gate before every append: proves that each consumer can hold a fact and its envelope (Postgres `text` and `jsonb`, the
 * ledger's entry, JavaScript numbers, whoever reads JSON). What passes here can be stored and projected; what does not is refused
 * before anything is written, since a fact cannot be taken back. Pure.
 */
import { factsByKind } from '../../domain/events/codec.ts';
import { parseStream } from '../../domain/events/streams.ts';
import { checkJson, checkText, printable, refuseMember, type Shape } from '../../domain/hash/soundJson.ts';
import { stepInto } from '../../domain/jsonPointer.ts';
import type { AppendRequest } from './eventStore.ts';

/** Octets of a fact's JSON, as the table's check counts them. */
export const MAX_DATA_OCTETS = 65_536;
/** Octets of the texts around a fact, together: an entry of the ledger stays below 4 KiB. */
export const MAX_ENVELOPE_OCTETS = 2_048;
/** Characters of a stream's name. */
export const MAX_STREAM = 216;

/** As the table's check, and without control characters. */
const STREAM = /^[a-z]+-[^\s\p{Cc}\p{Surrogate}]+$/u;

/** What a fact's schema says of its numbers; an unknown fact is refused by the codec. */
function schemaOf(stream: string, type: string): Shape {
  const parsed = parseStream(stream);
  const def = parsed && factsByKind[parsed.kind][type];
  // Safe: a TypeBox schema is a JSON Schema, and every member of Shape is optional.
  return def?.schema ?? {};
}

/** The member that holds most of a text that is too long, so that the caller knows what to shorten. */
function largestMember(data: object): string {
  let largest = { pointer: '', octets: 0 };
  for (const [key, value] of Object.entries(data)) {
    const octets = Buffer.byteLength(JSON.stringify(value) ?? '');
    if (octets > largest.octets) largest = { pointer: stepInto('', key), octets };
  }
  return largest.pointer;
}

/**
 * The JSON of a fact, as it will be stored. -0 becomes 0, as JSON has it in every reader.
 *
 * @throws LifecycleError `invalid_input` with a pointer into the fact's data, which is the request's member of the same name
 */
export function factText({ stream, fact }: AppendRequest['events'][number]): string {
  checkJson(fact.data, schemaOf(stream, fact.type));
  const text = JSON.stringify(fact.data);
  const octets = Buffer.byteLength(text);
  if (octets > MAX_DATA_OCTETS) {
    refuseMember(
      largestMember(fact.data),
      `makes a fact of ${octets} octets; at most ${MAX_DATA_OCTETS} can be stored`,
    );
  }
  return text;
}

/**
 * What surrounds the facts: names of streams, who did it, and the command.
 *
 * @throws LifecycleError `invalid_input`; the pointer names the member of the envelope
 */
export function checkEnvelope({ actor, commandId, correlationId, causationId, expected, events }: AppendRequest): void {
  const texts = {
    '/actor/kind': actor.kind,
    '/actor/id': actor.id,
    '/command_id': commandId,
    '/correlation_id': correlationId ?? '',
    '/causation_id': causationId ?? '',
  };
  for (const [pointer, text] of Object.entries(texts)) checkText(text, pointer);
  for (const stream of expected.keys()) {
    if (stream.length > MAX_STREAM) refuseMember('/stream', `is longer than ${MAX_STREAM} characters`);
    if (!STREAM.test(stream)) refuseMember('/stream', `${JSON.stringify(printable(stream))} is no name of a stream`);
  }
  const around = [actor.id, commandId, correlationId ?? '', causationId ?? ''];
  const octets = around.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  for (const { fact, machine } of events) {
    const all = octets + Buffer.byteLength(fact.type) + Buffer.byteLength(machine);
    if (all > MAX_ENVELOPE_OCTETS) {
      refuseMember(
        '/command_id',
        `and the ids beside it have ${all} octets; at most ${MAX_ENVELOPE_OCTETS} can be stored`,
      );
    }
  }
}
