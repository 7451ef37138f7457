/** Watches a round's row, in case the signal of its close is lost. */
import { LifecycleError } from '../domain/errors.ts';
import { roundIdOf } from '../store/rounds/roundRow.ts';
import type { ActivityDeps } from './deps.ts';
import { pollEvery } from './heartbeats.ts';

const LOOK_MS = 1_000;

/** Returns when the round no longer collects. @throws LifecycleError `training_not_found` if there is no such round */
export function watchRound(
  deps: ActivityDeps,
  { runId, round, attempt }: { readonly runId: string; readonly round: number; readonly attempt: number },
): Promise<{ readonly kind: 'closed'; readonly state: 'closed' | 'abandoned' }> {
  const roundId = roundIdOf(runId, round, attempt);
  return pollEvery(
    () => LOOK_MS,
    async () => {
      const row = await deps.commands.rounds.round(roundId);
      if (!row) throw new LifecycleError('training_not_found', `There is no row of round ${roundId}.`);
      return row.state === 'open' ? undefined : { kind: 'closed' as const, state: row.state };
    },
  );
}
