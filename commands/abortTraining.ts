/** A run ends and keeps nothing. */
import type { Caller, CommandDeps, Outcome } from './context.ts';
import { endTraining } from './endTraining.ts';

/**
 * (RoundAbandoned +) TrainingAborted + TrainingFailed, which makes the version a Draft again.
 *
 * @throws LifecycleError `training_not_found`
 */
export function abortTraining(
  deps: CommandDeps,
  caller: Caller,
  { runId, reason }: { readonly runId: string; readonly reason: string },
): Promise<Outcome> {
  return endTraining(deps, caller, runId, (counted) => ({ type: 'abort', reason, counted }));
}
