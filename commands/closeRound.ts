/** A round ends with what it has, by its deadline or by hand; accepts close it by themselves at the goal (`admitUpdate`). */
import { LifecycleError } from '../domain/errors.ts';
import type { RoundClosedData } from '../domain/events/training.ts';
import { trainingStream } from '../domain/events/streams.ts';
import { decideTraining } from '../machines/trainingDecision.ts';
import { roundIdOf } from '../store/rounds/roundRow.ts';
import type { Caller, CommandDeps, Outcome } from './context.ts';
import { executeUnder, joinDecisions } from './execute.ts';
import { requireRun } from './existing.ts';
import { closingData } from './roundClosing.ts';

export interface CloseRound {
  readonly runId: string;
  readonly round: number;
  readonly attempt: number;
  readonly cause: Extract<RoundClosedData['cause'], 'deadline' | 'manual'>;
}

/**
 * RoundClosed, with the row in the same transaction. The first close of a round wins; a later one is `already`, or gets the
 * first outcome where both used the round's own command id. Refused by `quorum`.
 *
 * @throws LifecycleError `training_not_found`
 */
export async function closeRound(deps: CommandDeps, caller: Caller, input: CloseRound): Promise<Outcome> {
  const { runId, round, attempt, cause } = input;
  const roundId = roundIdOf(runId, round, attempt);
  return executeUnder(
    deps,
    caller,
    (tx) => deps.rounds.lockRun(tx, runId),
    async (streams, tx) => {
      const run = await requireRun(streams, runId);
      const row = await deps.rounds.round(roundId, tx);
      if (!row) throw new LifecycleError('training_not_found', `Run ${runId} has no round ${round}.${attempt}.`);
      if (row.state === 'closed') return { kind: 'already' };
      const data = await closingData(deps, tx, row, cause);
      const decision = decideTraining(run, { type: 'closeRound', data }, streams.now().getTime());
      return joinDecisions([{ stream: trainingStream(runId), decision }], (after) =>
        deps.rounds.end(after, roundId, 'closed', cause),
      );
    },
  );
}
