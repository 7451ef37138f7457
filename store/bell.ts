/** Something that rings, and a loop that sleeps until it does. */
export interface Bell {
  ring(): void;
  /**
   * Resolves at the next ring, or after `ms`, or when `signal` aborts; true if it rang. A ring since the last `wait` returned
   * counts at once, so a loop that looks and then waits misses nothing.
   */
  wait(ms: number, signal: AbortSignal): Promise<boolean>;
}

/** A bell that has not rung; one loop waits on it. */
export function createBell(): Bell {
  let hasRung = false;
  let wake: (() => void) | undefined;
  return {
    ring() {
      hasRung = true;
      wake?.();
    },
    async wait(ms, signal) {
      // No AbortSignal.any: on Node 20 a long-lived signal keeps an entry for every one made from it, for ever.
      if (!hasRung && !signal.aborted) {
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
      const rang = hasRung;
      hasRung = false;
      return rang;
    },
  };
}
