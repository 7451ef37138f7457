/** A version reaches further and further devices: stage after stage bakes under watch, until it is stable or comes back. */
import type { StreamState } from '../domain/states.ts';
import type { RolloutView } from '../activities/contract.ts';
import { IDLE_MS, type Desk } from './desk.ts';
import type { Doors } from './doors.ts';
import { follow } from './follow.ts';

export interface RolloutInput {
  readonly v: 1;
  readonly rolloutId: number;
}

/** Ends when the rollout has: completed, aborted or rolled back, by whomever. */
export function rolloutVersion(input: RolloutInput): Promise<{ readonly state: StreamState }> {
  return follow(input, { load: (doors) => doors.main.loadRollout({ v: 1, rolloutId: input.rolloutId }), take });
}

async function take(view: RolloutView, desk: Desk, doors: Doors): Promise<void> {
  const { rolloutId, streamVersion, next } = view;
  const watch = () => doors.watch.watchStage({ v: 1, rolloutId, streamVersion });
  switch (next.kind) {
    case 'enterStage':
    case 'complete':
    case 'pause':
      await desk.submit(next.submit);
      return;
    case 'bake':
      return desk.firstOf(next.leftMs, watch);
    case 'watch':
      return desk.firstOf(IDLE_MS, watch);
    default: // a step of a newer plan
      return desk.firstOf(IDLE_MS);
  }
}
