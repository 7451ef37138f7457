/** Heartbeats beside work: cancellation arrives only with one. */
import { Context } from '@temporalio/activity';

const BEAT_MS = 2_000;

/** Beats from a timer until `work` ends, since work that computes for long has no time to. `detail` tells how far it is. */
export async function beating<T>(work: () => Promise<T>, detail: () => unknown = () => undefined): Promise<T> {
  const context = Context.current();
  context.heartbeat(detail());
  const timer = setInterval(() => context.heartbeat(detail()), BEAT_MS);
  try {
    return await work();
  } finally {
    clearInterval(timer);
  }
}

/**
 * Runs `work` while `isWanted` answers true, looked at with every beat; its signal aborts as the activity's own does, too.
 *
 * @returns undefined where the work was given up: the subject has moved on
 */
export async function whileWanted<T>(
  isWanted: () => Promise<boolean>,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T | undefined> {
  const moved = new AbortController();
  let isLooking = false;
  const look = async () => {
    if (isLooking) return;
    isLooking = true;
    // A look that fails says nothing: the work goes on, and its result is held against the log when it is recorded.
    if (!(await isWanted().catch(() => true))) moved.abort(new Error('the subject has moved on'));
    isLooking = false;
  };
  const timer = setInterval(() => void look(), BEAT_MS);
  try {
    return await work(AbortSignal.any([Context.current().cancellationSignal, moved.signal]));
  } catch (error) {
    if (moved.signal.aborted) return undefined;
    throw error;
  } finally {
    clearInterval(timer);
  }
}

/**
 * Calls `look` now and every `everyMs`, beating, until it answers something else than undefined.
 *
 * @throws CancelledFailure when the workflow gave the watch up, or the worker shuts down
 */
export async function pollEvery<T>(everyMs: () => number, look: () => Promise<T | undefined>): Promise<T> {
  const context = Context.current();
  for (;;) {
    const seen = await look();
    if (seen !== undefined) return seen;
    // Long pauses are cut, so that a heartbeat never misses its time-out.
    let leftMs = Math.max(1, everyMs());
    while (leftMs > 0) {
      context.heartbeat();
      const ms = Math.min(leftMs, 5_000);
      await context.sleep(ms);
      leftMs -= ms;
    }
  }
}
