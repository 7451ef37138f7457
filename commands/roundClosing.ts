/** What RoundClosed says of a round, from its rows, under the run's lock. */
import { createHash } from 'node:crypto';
import type { RoundClosedData } from '../domain/events/training.ts';
import { acceptedRoot } from '../domain/learning/acceptedRoot.ts';
import type { Queryable } from '../store/queryable.ts';
import type { RoundRow } from '../store/rounds/roundRow.ts';
import type { AcceptedRow } from '../store/rounds/roundStore.ts';
import type { CommandDeps } from './context.ts';

const hash = (bytes: Uint8Array) => new Uint8Array(createHash('sha256').update(bytes).digest());

/** Updates that count towards goal and quorum: those with samples, if there is one; else all. */
export function countedOf(updates: readonly Pick<AcceptedRow, 'samples'>[]): number {
  return updates.filter((u) => u.samples > 0).length || updates.length;
}

/**
 * The set is frozen with this fact: root, counts and sums are of exactly these updates.
 *
 * @param joining the update whose accept closes the round; its row is not written yet
 */
export async function closingData(
  deps: CommandDeps,
  tx: Queryable,
  round: RoundRow,
  cause: RoundClosedData['cause'],
  joining?: AcceptedRow,
): Promise<RoundClosedData> {
  const before = await deps.rounds.accepted(round.roundId, tx);
  const updates = joining ? [...before, joining] : before;
  return {
    round: round.round,
    attempt: round.attempt,
    cause,
    accepted: updates.length,
    counted: countedOf(updates),
    weight_sum: updates.reduce((sum, u) => sum + u.weight, 0),
    participants: updates.length, // one update a device and round
    accepted_root: acceptedRoot(updates, hash).root,
    refused: await deps.rounds.refused(round.roundId, tx),
    leased: round.leased,
    aborted: round.aborted,
    bytes_up: updates.reduce((sum, u) => sum + u.bytes, 0),
  };
}
