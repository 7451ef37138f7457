/** No further round opens; one that collects still closes and is aggregated, so no work is lost. */
import { trainingStream } from '../domain/events/streams.ts';
import { decideTraining } from '../machines/trainingDecision.ts';
import type { Caller, CommandDeps, Outcome } from './context.ts';
import { execute, joinDecisions } from './execute.ts';
import { requireRun } from './existing.ts';

export interface PauseTraining {
  readonly runId: string;
  readonly reason: string;
  readonly by: string;
  /** Nothing is tried before a person resumes the run, not even to end its open round. */
  readonly code?: 'internal_fault';
}

/** TrainingPaused. `by` says who: a key, or the workflow after too many abandoned rounds. */
export async function pauseTraining(
  deps: CommandDeps,
  caller: Caller,
  { runId, ...data }: PauseTraining,
): Promise<Outcome> {
  return execute(deps, caller, async (streams) => {
    const run = await requireRun(streams, runId);
    const decision = decideTraining(run, { type: 'pause', data }, streams.now().getTime());
    return joinDecisions([{ stream: trainingStream(runId), decision }]);
  });
}
