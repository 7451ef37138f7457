/** A paused run opens rounds again; the count of rounds abandoned in a row begins anew. */
import { trainingStream } from '../domain/events/streams.ts';
import { decideTraining } from '../machines/trainingDecision.ts';
import type { Caller, CommandDeps, Outcome } from './context.ts';
import { execute, joinDecisions } from './execute.ts';
import { requireRun } from './existing.ts';

/** TrainingResumed. */
export async function resumeTraining(
  deps: CommandDeps,
  caller: Caller,
  { runId, reason = null, by }: { readonly runId: string; readonly reason?: string | null; readonly by: string },
): Promise<Outcome> {
  return execute(deps, caller, async (streams) => {
    const run = await requireRun(streams, runId);
    const decision = decideTraining(run, { type: 'resume', data: { reason, by } }, streams.now().getTime());
    return joinDecisions([{ stream: trainingStream(runId), decision }]);
  });
}
