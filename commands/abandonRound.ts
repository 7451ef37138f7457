/** A round ends without a result: below quorum at its hard deadline, or its aggregate is unusable. The base stays. */
import { trainingStream } from '../domain/events/streams.ts';
import type { TrainingFact } from '../domain/events/training.ts';
import { decideTraining } from '../machines/trainingDecision.ts';
import { roundIdOf } from '../store/rounds/roundRow.ts';
import type { Caller, CommandDeps, Outcome } from './context.ts';
import { executeUnder, joinDecisions } from './execute.ts';
import { requireRun } from './existing.ts';

export interface AbandonRound {
  readonly runId: string;
  readonly round: number;
  readonly attempt: number;
  readonly reason: Extract<TrainingFact, { type: 'RoundAbandoned' }>['data']['reason'];
}

/** RoundAbandoned, and the row in the same transaction. */
export async function abandonRound(deps: CommandDeps, caller: Caller, input: AbandonRound): Promise<Outcome> {
  const { runId, round, attempt, reason } = input;
  const roundId = roundIdOf(runId, round, attempt);
  return executeUnder(
    deps,
    caller,
    (tx) => deps.rounds.lockRun(tx, runId),
    async (streams, tx) => {
      const run = await requireRun(streams, runId);
      const row = await deps.rounds.round(roundId, tx);
      const data = {
        round,
        attempt,
        reason,
        counted: row?.counted ?? 0,
        needed: run.context.current?.min_updates ?? 0,
      };
      const decision = decideTraining(run, { type: 'abandonRound', data }, streams.now().getTime());
      return joinDecisions([{ stream: trainingStream(runId), decision }], (after) =>
        deps.rounds.end(after, roundId, 'abandoned', reason),
      );
    },
  );
}
