/** Rounds of federated training, one after the other, until the plan says that the version is trained. */
import type { StreamState } from '../domain/states.ts';
import type { Computed, TrainingView } from '../activities/contract.ts';
import { IDLE_MS, type Desk } from './desk.ts';
import type { Doors } from './doors.ts';
import { follow } from './follow.ts';

export interface TrainingInput {
  readonly v: 1;
  readonly runId: string;
}

/** Ends when the run has succeeded or was aborted, by whomever. Carries hashes and counts, never tensors. */
export function trainModel(input: TrainingInput): Promise<{ readonly state: StreamState }> {
  return follow(input, { load: (doors) => doors.main.loadTraining({ v: 1, runId: input.runId }), take });
}

async function take({ runId, round, attempt, next }: TrainingView, desk: Desk, doors: Doors): Promise<void> {
  const which = { v: 1 as const, runId, round, attempt };
  switch (next.kind) {
    case 'open':
    case 'close':
    case 'abandon':
    case 'pause':
    case 'finish':
      await desk.submit(next.submit);
      return;
    case 'collect':
      return desk.firstOf(next.leftMs, () => doors.watch.watchRound(which));
    case 'aggregate':
      return record(desk, await doors.compute.aggregateRound(which));
    case 'evaluate':
      return record(desk, await doors.compute.evaluateRound(which));
    case 'wait':
      return desk.firstOf(next.leftMs ?? IDLE_MS);
    default: // a step of a newer plan
      return desk.firstOf(IDLE_MS);
  }
}

/** Nothing to record: the run has moved on, and the next load says where. */
async function record(desk: Desk, { submit }: Computed): Promise<void> {
  if (submit) await desk.submit(submit);
}
