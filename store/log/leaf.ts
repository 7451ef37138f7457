/** The ledger's leaf of a stored row: the sequencer makes it, `audit/` makes it again and compares. */
import { hash } from 'node:crypto';
import type { Hash } from '../../domain/hash/sha256.ts';
import { ledgerLeaf } from '../../domain/ledger/entry.ts';
import type { EventRow } from './rows.ts';

/** SHA-256 by Node: about ten times the portable one. */
export const nodeSha256: Hash = (bytes) => hash('sha256', bytes, 'buffer');

/** Leaf hash of a row at its place. Reads every column that leaves this database; `data` byte for byte. */
export function leafOf(row: EventRow, logIndex: number, sequencedAt: Date): Uint8Array {
  const fact = {
    eventId: row.event_id,
    stream: row.stream_id,
    streamVersion: row.stream_version,
    type: row.type,
    schemaVersion: row.schema_version,
    machine: row.machine,
    actor: { kind: row.actor_kind, id: row.actor_id },
    commandId: row.command_id,
    commandSeq: row.command_seq,
    correlationId: row.correlation_id,
    causationId: row.causation_id,
    recordedAt: row.recorded_at.toISOString(),
  };
  return ledgerLeaf(fact, { logIndex, sequencedAt: sequencedAt.toISOString() }, row.data, nodeSha256);
}
