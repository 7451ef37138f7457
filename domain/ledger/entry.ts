/** Pure. What the ledger hashes of one fact (event-log.md 6.1): the words of an entry, its bytes, its leaf. */
import { canonicalJson } from '../hash/canonicalJson.ts';
import { leafHash } from '../hash/merkle.ts';
import { bytesToHex, sha256, utf8ToBytes, type Hash } from '../hash/sha256.ts';

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

export interface LedgerPlace {
  readonly logIndex: number;
  /** RFC 3339, UTC, milliseconds. */
  readonly sequencedAt: string;
}

/**
 * Bytes of an entry: RFC 8785 JSON of strings and integers. Absent ids are left out; the actor is `<kind>:<id>` (kinds have no
 * colon). Fixed for ever: every leaf depends on it.
 *
 * @param dataText  the JSON text of `data`, byte for byte as stored
 * @param hash      SHA-256
 */
export function ledgerEntry(fact: LedgerFact, place: LedgerPlace, dataText: string, hash: Hash = sha256): Uint8Array {
  const { actor, correlationId, causationId, ...rest } = fact;
  return utf8ToBytes(
    canonicalJson({
      ...rest,
      v: 1,
      logIndex: place.logIndex,
      sequencedAt: place.sequencedAt,
      actor: `${actor.kind}:${actor.id}`,
      ...(correlationId === null ? {} : { correlationId }),
      ...(causationId === null ? {} : { causationId }),
      dataSha256: bytesToHex(hash(utf8ToBytes(dataText))),
    }),
  );
}

/** RFC 6962 leaf hash of the entry, 32 bytes. */
export function ledgerLeaf(fact: LedgerFact, place: LedgerPlace, dataText: string, hash: Hash = sha256): Uint8Array {
  return leafHash(ledgerEntry(fact, place, dataText, hash), hash);
}
