/** The loop of every workflow here: load what comes next, do it, until nothing is left. The log decides; this waits. */
import { setHandler } from '@temporalio/workflow';
import type { StreamState } from '../domain/states.ts';
import { continueIfLong, deskOf, viewQuery, type Desk } from './desk.ts';
import { openDoors, type Doors } from './doors.ts';
import { inbox } from './inbox.ts';

interface Plan {
  readonly state: StreamState;
  readonly streamVersion: number;
  readonly next: { readonly kind: string };
}

export interface Story<View extends Plan> {
  /** Asks the log what comes next. */
  readonly load: (doors: Doors) => Promise<View>;
  /** One step; it may find that the plan is old, and change nothing. */
  readonly take: (view: View, desk: Desk, doors: Doors) => Promise<void>;
}

/** Call it first in a run. Ends when the plan is `done`, by whomever; a long run begins anew with the same input. */
export async function follow<Input, View extends Plan>(
  input: Input,
  { load, take }: Story<View>,
): Promise<{ readonly state: StreamState }> {
  const news = inbox();
  let view: View | undefined;
  setHandler(viewQuery, () => view);
  const doors = openDoors();
  const desk = deskOf(doors, news);
  for (;;) {
    let done = false;
    await desk.surviving(async () => {
      view = await load(doors);
      news.seen(view.streamVersion);
      done = view.next.kind === 'done';
      if (!done) await take(view, desk, doors);
    });
    if (done && view) return { state: view.state };
    await continueIfLong(input);
  }
}
