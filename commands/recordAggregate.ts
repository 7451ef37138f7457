/** The commit point of a round: its aggregate is the base of the next one. The blobs are stored before. */
import { trainingStream } from '../domain/events/streams.ts';
import type { TrainingFact } from '../domain/events/training.ts';
import { decideTraining } from '../machines/trainingDecision.ts';
import type { Caller, CommandDeps, Outcome } from './context.ts';
import { execute, joinDecisions } from './execute.ts';
import { requireRun } from './existing.ts';

export interface RecordAggregate {
  readonly runId: string;
  readonly data: Extract<TrainingFact, { type: 'RoundAggregated' }>['data'];
}

/** RoundAggregated. */
export async function recordAggregate(deps: CommandDeps, caller: Caller, input: RecordAggregate): Promise<Outcome> {
  const { runId, data } = input;
  return execute(deps, caller, async (streams) => {
    const run = await requireRun(streams, runId);
    const decision = decideTraining(run, { type: 'recordAggregate', data }, streams.now().getTime());
    return joinDecisions([{ stream: trainingStream(runId), decision }]);
  });
}
