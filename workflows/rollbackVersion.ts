/** What takes time after a rollback was decided: tell people, follow the devices back, draft the post-mortem, remind. */
import type { StreamState } from '../domain/states.ts';
import type { RollbackView } from '../activities/contract.ts';
import { IDLE_MS, type Desk } from './desk.ts';
import type { Doors } from './doors.ts';
import { follow } from './follow.ts';

export interface RollbackInput {
  readonly v: 1;
  readonly rolloutId: number;
}

/** Appends nothing: a person's RootCauseRecorded closes it, or 30 days. */
export function rollbackVersion(input: RollbackInput): Promise<{ readonly state: StreamState }> {
  return follow(input, { load: (doors) => doors.main.loadRollback({ v: 1, rolloutId: input.rolloutId }), take });
}

async function take({ rolloutId, next }: RollbackView, desk: Desk, doors: Doors): Promise<void> {
  switch (next.kind) {
    case 'tell':
      await doors.tell.notify({ v: 1, ...next.notice });
      return;
    case 'follow':
      return desk.firstOf(next.leftMs, () => doors.watch.followDevices({ v: 1, rolloutId }));
    case 'draft':
      await doors.tell.draftPostMortem({ v: 1, rolloutId });
      return;
    case 'wait':
      return desk.firstOf(next.leftMs);
    default: // a step of a newer plan
      return desk.firstOf(IDLE_MS);
  }
}
