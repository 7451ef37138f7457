/** The loop of every workflow here: load what comes next, do it, until nothing is left. The log decides; this waits. */
import { setHandler } from '@temporalio/workflow';
import type { StreamState } from '../domain/states.ts';
import { continueIfLong, createSteps, viewQuery, type Steps } from './steps.ts';
import { proxiesOfRun, type ActivityProxies } from './activityProxies.ts';
import { listenForFacts } from './factSignals.ts';

interface Plan {
  readonly state: StreamState;
  readonly streamVersion: number;
  readonly next: { readonly kind: string };
}

export interface Process<View extends Plan> {
  /** Asks the log what comes next. */
  readonly load: (activities: ActivityProxies) => Promise<View>;
  /** One step; it may find that the plan is old, and change nothing. */
  readonly take: (view: View, steps: Steps, activities: ActivityProxies) => Promise<void>;
}

/** Call it first in a run. Ends when the plan is `done`, by whomever; a long run begins anew with the same input. */
export async function followFacts<Input, View extends Plan>(
  input: Input,
  { load, take }: Process<View>,
): Promise<{ readonly state: StreamState }> {
  const signals = listenForFacts();
  let view: View | undefined;
  setHandler(viewQuery, () => view);
  const activities = proxiesOfRun();
  const steps = createSteps(activities, signals);
  for (;;) {
    let done = false;
    await steps.surviving(async () => {
      view = await load(activities);
      signals.seen(view.streamVersion);
      done = view.next.kind === 'done';
      if (!done) await take(view, steps, activities);
    });
    if (done && view) return { state: view.state };
    await continueIfLong(input);
  }
}
