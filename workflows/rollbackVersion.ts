/** What takes time after a rollback was decided: tell people, follow the devices back, draft the post-mortem, remind. */
import type { StreamState } from '../domain/states.ts';
import type { RollbackView } from '../activities/contract.ts';
import { IDLE_MS, type Steps } from './steps.ts';
import type { ActivityProxies } from './activityProxies.ts';
import { followFacts } from './follow.ts';

export interface RollbackInput {
  readonly v: 1;
  readonly rolloutId: number;
}

/** Appends nothing: a person's RootCauseRecorded closes it, or 30 days. */
export function rollbackVersion(input: RollbackInput): Promise<{ readonly state: StreamState }> {
  return followFacts(input, {
    load: (activities) => activities.main.loadRollback({ v: 1, rolloutId: input.rolloutId }),
    take,
  });
}

async function take({ rolloutId, next }: RollbackView, steps: Steps, activities: ActivityProxies): Promise<void> {
  switch (next.kind) {
    case 'tell':
      await activities.tell.notify({ v: 1, ...next.notice });
      return;
    case 'follow':
      return steps.firstOf(next.leftMs, () => activities.watch.followDevices({ v: 1, rolloutId }));
    case 'draft':
      await activities.tell.draftPostMortem({ v: 1, rolloutId });
      return;
    case 'wait':
      return steps.firstOf(next.leftMs);
    default: // a step of a newer plan
      return steps.firstOf(IDLE_MS);
  }
}
