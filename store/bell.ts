/** Something that rings, and a loop that sleeps until it does. */
import { pause } from './pause.ts';

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
  let rung: AbortController | undefined;
  return {
    ring() {
      hasRung = true;
      rung?.abort();
    },
    async wait(ms, signal) {
      rung = new AbortController();
      if (!hasRung) await pause(ms, AbortSignal.any([signal, rung.signal]));
      const rang = hasRung;
      rung = undefined;
      hasRung = false;
      return rang;
    },
  };
}
