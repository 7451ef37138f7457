/** No further round opens; one that collects still closes and is aggregated, so no work is lost. */
import { trainingStream } from '../domain/events/streams.ts';
import { decideTraining } from '../machines/trainingDecision.ts';
import type { Caller, CommandDeps, Outcome } from './context.ts';
import { execute, joinDecisions } from './execute.ts';
import { existingRun } from './existing.ts';

export interface PauseTraining {
  readonly runId: string;
  readonly reason: string;
  readonly by: string;
}

/** TrainingPaused. `by` says who: a key, or the workflow after too many abandoned rounds. */
export async function pauseTraining(
  deps: CommandDeps,
  caller: Caller,
  { runId, reason, by }: PauseTraining,
): Promise<Outcome> {
  return execute(deps, caller, async (streams) => {
    const run = await existingRun(streams, runId);
    const decision = decideTraining(run, { type: 'pause', data: { reason, by } }, streams.now().getTime());
    return joinDecisions([{ stream: trainingStream(runId), decision }]);
  });
}
