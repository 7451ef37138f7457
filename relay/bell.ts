/** Something that rings, and a loop that sleeps until it does. */
export interface Bell {
  ring(): void;
  /**
   * Resolves at the next ring, or after `ms`, or when `signal` aborts. A ring since the last `wait` returned counts at once,
   * so a loop that looks and then waits misses nothing.
   */
  wait(ms: number, signal: AbortSignal): Promise<void>;
}

/** A bell that has not rung. */
export function createBell(): Bell {
  let hasRung = false;
  let wake: (() => void) | undefined;
  return {
    ring() {
      hasRung = true;
      wake?.();
    },
    wait(ms, signal) {
      return new Promise((resolve) => {
        const done = () => {
          clearTimeout(timer);
          signal.removeEventListener('abort', done);
          wake = undefined;
          hasRung = false;
          resolve();
        };
        const timer = setTimeout(done, ms);
        signal.addEventListener('abort', done);
        wake = done;
        if (hasRung || signal.aborted) done();
      });
    },
  };
}
