/** A version reaches further and further devices: stage after stage bakes under watch, until it is stable or comes back. */
import { setHandler } from '@temporalio/workflow';
import type { RolloutView } from '../activities/contract.ts';
import { continueIfLong, deskOf, IDLE_MS, viewQuery, type Desk } from './desk.ts';
import { openDoors, type Doors } from './doors.ts';
import { inbox } from './inbox.ts';

export interface RolloutInput {
  readonly v: 1;
  readonly rolloutId: number;
}

/** Ends when the rollout has: completed, aborted or rolled back, by whomever. */
export async function rolloutVersion(input: RolloutInput): Promise<{ readonly state: string }> {
  const news = inbox();
  let view: RolloutView | undefined;
  setHandler(viewQuery, () => view);
  const doors = openDoors();
  const desk = deskOf(doors, news);
  for (;;) {
    let done = false;
    await desk.surviving(async () => {
      view = await doors.main.loadRollout({ v: 1, rolloutId: input.rolloutId });
      news.seen(view.streamVersion);
      done = view.next.kind === 'done';
      if (!done) await take(view, desk, doors);
    });
    if (done && view) return { state: view.state };
    await continueIfLong<typeof rolloutVersion>(input);
  }
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
