/** What the new aggregate achieves on held-out data. */
import { trainingStream } from '../domain/events/streams.ts';
import type { TrainingFact } from '../domain/events/training.ts';
import { decideTraining } from '../machines/trainingDecision.ts';
import type { Caller, CommandDeps, Outcome } from './context.ts';
import { execute, joinDecisions } from './execute.ts';
import { requireRun } from './existing.ts';

export interface RecordEvaluation {
  readonly runId: string;
  readonly data: Extract<TrainingFact, { type: 'RoundEvaluated' }>['data'];
}

/** RoundEvaluated. */
export async function recordEvaluation(deps: CommandDeps, caller: Caller, input: RecordEvaluation): Promise<Outcome> {
  const { runId, data } = input;
  return execute(deps, caller, async (streams) => {
    const run = await requireRun(streams, runId);
    const decision = decideTraining(run, { type: 'recordEvaluation', data }, streams.now().getTime());
    return joinDecisions([{ stream: trainingStream(runId), decision }]);
  });
}
