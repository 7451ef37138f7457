/** What takes time after a rollback was decided: tell people, follow the devices back, draft the post-mortem, remind. */
import { setHandler } from '@temporalio/workflow';
import type { RollbackView } from '../activities/contract.ts';
import { continueIfLong, deskOf, IDLE_MS, viewQuery, type Desk } from './desk.ts';
import { openDoors, type Doors } from './doors.ts';
import { inbox } from './inbox.ts';

export interface RollbackInput {
  readonly v: 1;
  readonly rolloutId: number;
}

/** Appends nothing: a person's RootCauseRecorded closes it, or 30 days. */
export async function rollbackVersion(input: RollbackInput): Promise<{ readonly state: string }> {
  const news = inbox();
  let view: RollbackView | undefined;
  setHandler(viewQuery, () => view);
  const doors = openDoors();
  const desk = deskOf(doors, news);
  for (;;) {
    let done = false;
    await desk.surviving(async () => {
      view = await doors.main.loadRollback({ v: 1, rolloutId: input.rolloutId });
      news.seen(view.streamVersion);
      done = view.next.kind === 'done';
      if (!done) await take(view, desk, doors);
    });
    if (done && view) return { state: view.state };
    await continueIfLong<typeof rollbackVersion>(input);
  }
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
