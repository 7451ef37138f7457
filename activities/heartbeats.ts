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
 * Calls `look` now and every `everyMs`, beating, until it answers something else than undefined.
 *
 * @throws CancelledFailure when the workflow gave the watch up, or the worker shuts down
 */
export async function lookEvery<T>(everyMs: () => number, look: () => Promise<T | undefined>): Promise<T> {
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
