/** Rounds of federated training, one after the other, until the plan says that the version is trained. */
import type { StreamState } from '../domain/states.ts';
import type { Computed, TrainingView } from '../activities/contract.ts';
import { IDLE_MS, type Steps } from './steps.ts';
import type { ActivityProxies } from './activityProxies.ts';
import { followFacts } from './follow.ts';

export interface TrainingInput {
  readonly v: 1;
  readonly runId: string;
}

/** Ends when the run has succeeded or was aborted, by whomever. Carries hashes and counts, never tensors. */
export function trainModel(input: TrainingInput): Promise<{ readonly state: StreamState }> {
  return followFacts(input, { load: (activities) => activities.main.loadTraining({ v: 1, runId: input.runId }), take });
}

async function take(
  { runId, round, attempt, next }: TrainingView,
  steps: Steps,
  activities: ActivityProxies,
): Promise<void> {
  const which = { v: 1 as const, runId, round, attempt };
  switch (next.kind) {
    case 'open':
    case 'close':
    case 'abandon':
    case 'pause':
    case 'finish':
      await steps.submit(next.submit);
      return;
    case 'collect':
      return steps.firstOf(next.leftMs, () => activities.watch.watchRound(which));
    case 'aggregate':
      return record(steps, await activities.compute.aggregateRound(which));
    case 'evaluate':
      return record(steps, await activities.compute.evaluateRound(which));
    case 'wait':
      return steps.firstOf(next.leftMs ?? IDLE_MS);
    default: // a step of a newer plan
      return steps.firstOf(IDLE_MS);
  }
}

/** Nothing to record: the run has moved on, and the next load says where. */
async function record(steps: Steps, { submit }: Computed): Promise<void> {
  if (submit) await steps.submit(submit);
}
