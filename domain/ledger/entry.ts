/** Pure. What the ledger hashes of one fact (docs/design/event-log.md "Ledger entry"): the words of an entry, its bytes, its leaf. */
import { leafHash } from '../hash/merkle.ts';
import { bytesToHex, sha256, utf8ToBytes, type Hash } from '../hash/sha256.ts';
import { checkText } from '../hash/soundJson.ts';

/** A fact as an entry names it. Its `data` enters by hash only, as stored. */
export interface LedgerFact {
  readonly eventId: string;
  readonly stream: string;
  readonly streamVersion: number;
  readonly type: string;
  readonly schemaVersion: number;
  readonly machine: string;
  readonly actor: { readonly kind: string; readonly id: string };
  readonly commandId: string;
  readonly commandSeq: number;
  readonly correlationId: string | null;
  readonly causationId: string | null;
  /** RFC 3339, UTC, milliseconds. */
  readonly recordedAt: string;
}

export interface LedgerSequencing {
  readonly logIndex: number;
  /** RFC 3339, UTC, milliseconds. */
  readonly sequencedAt: string;
}

/**
 * Bytes of an entry: RFC 8785 JSON of strings and integers. Absent ids are left out; the actor is `<kind>:<id>` (kinds have no
 * colon). Fixed for ever: every leaf depends on it.
 *
 * The members are written in their order, since every fact pays for this: sorting them anew each time costs five times as much.
 *
 * @param dataText  the JSON text of `data`, byte for byte as stored
 * @param hash      SHA-256
 * @throws LifecycleError `invalid_input` for a text that not every reader holds; a stored row has none
 */
export function ledgerEntry(
  fact: LedgerFact,
  place: LedgerSequencing,
  dataText: string,
  hash: Hash = sha256,
): Uint8Array {
  const { actor, causationId, correlationId } = fact;
  const text =
    `{"actor":${quoted(`${actor.kind}:${actor.id}`)}` +
    (causationId === null ? '' : `,"causationId":${quoted(causationId)}`) +
    `,"commandId":${quoted(fact.commandId)},"commandSeq":${fact.commandSeq}` +
    (correlationId === null ? '' : `,"correlationId":${quoted(correlationId)}`) +
    `,"dataSha256":"${bytesToHex(hash(utf8ToBytes(dataText)))}","eventId":${quoted(fact.eventId)}` +
    `,"logIndex":${place.logIndex},"machine":${quoted(fact.machine)},"recordedAt":${quoted(fact.recordedAt)}` +
    `,"schemaVersion":${fact.schemaVersion},"sequencedAt":${quoted(place.sequencedAt)}` +
    `,"stream":${quoted(fact.stream)},"streamVersion":${fact.streamVersion},"type":${quoted(fact.type)},"v":1}`;
  return utf8ToBytes(text);
}

/** A string as RFC 8785 writes it, which is as ECMAScript does. */
function quoted(text: string): string {
  checkText(text, '');
  return JSON.stringify(text);
}

/** RFC 6962 leaf hash of the entry, 32 bytes. */
export function ledgerLeaf(
  fact: LedgerFact,
  place: LedgerSequencing,
  dataText: string,
  hash: Hash = sha256,
): Uint8Array {
  return leafHash(ledgerEntry(fact, place, dataText, hash), hash);
}
