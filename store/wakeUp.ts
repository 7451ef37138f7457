/** Something that wakes, and a loop that sleeps until it does. */
export interface WakeUp {
  wake(): void;
  /**
   * Resolves at the next wake, or after `ms`, or when `signal` aborts; true if it was woken. A wake since the last `wait` returned
   * counts at once, so a loop that looks and then waits misses nothing.
   */
  wait(ms: number, signal: AbortSignal): Promise<boolean>;
}

/** A wake-up that nobody asked for yet; one loop waits on it. */
export function createWakeUp(): WakeUp {
  let isAwake = false;
  let wake: (() => void) | undefined;
  return {
    wake() {
      isAwake = true;
      wake?.();
    },
    async wait(ms, signal) {
      // No AbortSignal.any: on Node 20 a long-lived signal keeps an entry for every one made from it, for ever.
      if (!isAwake && !signal.aborted) {
        await new Promise<void>((resolve) => {
          const timer = setTimeout(done, ms);
          function done() {
            clearTimeout(timer);
            signal.removeEventListener('abort', done);
            wake = undefined;
            resolve();
          }
          signal.addEventListener('abort', done);
          wake = done;
        });
      }
      const wasWoken = isAwake;
      isAwake = false;
      return wasWoken;
    },
  };
}
