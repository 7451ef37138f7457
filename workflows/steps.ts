/** What the four workflows share: submit a step, wait for the first of several things, survive a surprise, begin a new run. */
import {
  ActivityFailure,
  allHandlersFinished,
  ApplicationFailure,
  CancellationScope,
  condition,
  continueAsNew,
  defineQuery,
  isCancellation,
  log,
  workflowInfo,
} from '@temporalio/workflow';
import type { Submission, Submitted } from '../activities/contract.ts';
import type { ActivityProxies } from './activityProxies.ts';
import type { FactSignals } from './factSignals.ts';
import { cutText } from '../domain/text.ts';

/** For operators and tests. */
export const viewQuery = defineQuery<unknown>('view');

/** An idle wait loads again after this long; a signal that was lost comes again from the reconciler long before. */
export const IDLE_MS = 3_600_000;
/** Replaying a run must stay quick: past this many events it begins anew. */
const LONG_RUN = 2_000;

export interface Steps {
  /**
   * Submits a step. One command id that changes nothing twice (refused, or known already) means that planner and machine
   * disagree: alert, wait for signals, never spin.
   */
  submit(step: Submission): Promise<Submitted>;
  /** Waits for signals, or for `watcher` to return, or for `ms`, whichever is first; the rest is cancelled. */
  firstOf(ms: number, watcher?: () => Promise<unknown>): Promise<void>;
  /** Runs one turn of the workflow. An activity that failed for good alerts and waits for signals; cancellation goes on up. */
  surviving(turn: () => Promise<void>): Promise<void>;
}

/** @param subject a short name for alerts, such as the process id */
export function createSteps(activities: ActivityProxies, signals: FactSignals): Steps {
  const fruitless = new Map<string, number>();
  const subject = workflowInfo().workflowId;

  async function alert(what: string, text: string): Promise<void> {
    log.error(text, { alarm: what });
    // At most one an hour of a kind.
    const hour = new Date().toISOString().slice(0, 13);
    const eventId = cutText(`alert:${hour}:${subject}:${what}`, 400);
    await activities.tell.notify({ v: 1, eventId, audience: 'operators', text: `${subject}: ${text}` });
  }

  const firstOf: Steps['firstOf'] = (ms, watcher) =>
    CancellationScope.cancellable(async () => {
      let isOver = false;
      let failure: Error | undefined;
      // Without a handler a failing watcher would fail every workflow task for ever.
      watcher?.().then(
        () => (isOver = true),
        (error: unknown) => {
          failure = error instanceof Error ? error : new Error(String(error));
          isOver = true;
        },
      );
      // condition(fn, 0) would write a patch marker.
      await condition(() => signals.pending() || isOver, Math.max(1, Math.ceil(ms)));
      const ended = failure;
      CancellationScope.current().cancel();
      if (ended !== undefined) throw ended;
    });

  return {
    firstOf,
    async submit(step) {
      const result = await activities.main.submitCommand({ v: 1, ...step });
      if (result.outcome === 'appended' || result.outcome === 'stale') return result;
      const times = (fruitless.get(step.commandId) ?? 0) + 1;
      fruitless.set(step.commandId, times);
      if (times < 2) return result;
      await alert(
        `step:${step.commandId}`,
        `${step.commandId} was ${result.outcome} ${times} times. ${result.why ?? ''}`,
      );
      await firstOf(IDLE_MS);
      return result;
    },
    async surviving(turn) {
      const heard = signals.newest();
      try {
        await turn();
      } catch (error) {
        if (isCancellation(error) || !(error instanceof ActivityFailure)) throw error;
        const { type, message } =
          error.cause instanceof ApplicationFailure ? error.cause : { type: '', message: error.message };
        try {
          await alert(
            `failed:${error.activityType}:${type ?? ''}`,
            `${error.activityType} failed: ${type ?? ''} ${message}`,
          );
        } catch (other) {
          if (isCancellation(other)) throw other;
          log.error('the alert could not be delivered', { error: String(other) });
        }
        // What was signalled before this turn has had its try: a load that fails sees nothing, and must not fail again and again for it.
        signals.seen(heard);
        await firstOf(IDLE_MS);
      }
    },
  };
}

/** Begins a new run with the same input where this one has grown long. Only from the main loop, with nothing in flight. */
export async function continueIfLong<Input>(input: Input): Promise<void> {
  const { continueAsNewSuggested, historyLength } = workflowInfo();
  if (!continueAsNewSuggested && historyLength <= LONG_RUN) return;
  await condition(allHandlersFinished);
  await continueAsNew<(input: Input) => Promise<unknown>>(input);
}
