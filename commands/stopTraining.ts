/** A person ends a run and keeps its last aggregate; the workflow finishes it. */
import type { Caller, CommandDeps, Outcome } from './context.ts';
import { endTraining } from './endTraining.ts';

/**
 * (RoundAbandoned +) TrainingStopped; with no aggregated round TrainingAborted `no_round` + TrainingFailed on the version.
 *
 * @throws LifecycleError `training_not_found`
 */
export function stopTraining(
  deps: CommandDeps,
  caller: Caller,
  { runId }: { readonly runId: string },
): Promise<Outcome> {
  return endTraining(deps, caller, runId, (counted) => ({ type: 'stop', rule: 'manual', counted }));
}
