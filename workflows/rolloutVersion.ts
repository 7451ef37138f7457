/** A version reaches further and further devices: stage after stage bakes under watch, until it is stable or comes back. */
import type { StreamState } from '../domain/states.ts';
import type { RolloutView } from '../activities/contract.ts';
import { IDLE_MS, type Steps } from './steps.ts';
import type { ActivityProxies } from './activityProxies.ts';
import { followFacts } from './follow.ts';

export interface RolloutInput {
  readonly v: 1;
  readonly rolloutId: number;
}

/** Ends when the rollout has: completed, aborted or rolled back, by whomever. */
export function rolloutVersion(input: RolloutInput): Promise<{ readonly state: StreamState }> {
  return followFacts(input, {
    load: (activities) => activities.main.loadRollout({ v: 1, rolloutId: input.rolloutId }),
    take,
  });
}

async function take(view: RolloutView, steps: Steps, activities: ActivityProxies): Promise<void> {
  const { rolloutId, streamVersion, next } = view;
  const watch = () => activities.watch.watchStage({ v: 1, rolloutId, streamVersion });
  switch (next.kind) {
    case 'enterStage':
    case 'complete':
    case 'pause':
      await steps.submit(next.submit);
      return;
    case 'bake':
      return steps.firstOf(next.leftMs, watch);
    case 'watch':
      return steps.firstOf(IDLE_MS, watch);
    default: // a step of a newer plan
      return steps.firstOf(IDLE_MS);
  }
}
