/** Waiting for something to happen: until it does, until `--timeout`, or until Ctrl-C, each by the clock. */
import { setTimeout as delay } from 'node:timers/promises';
import { EdgeMLError, Timeout, Unreachable } from '../sdk/errors.ts';
import { CliError, EXIT } from './exit.ts';

const AGAIN_MS = 1_000;
/** The longest that a timer of Node can be; a longer one would fire at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export interface Wait {
  /** Aborts when `--timeout` has passed. */
  readonly signal: AbortSignal;
  /**
   * Asks the server. Once it has answered, a server that goes away is asked again until `--timeout`; without one the fault is told.
   *
   * @throws CliError `timeout`; what `ask` throws
   */
  ask<T>(ask: (signal: AbortSignal) => Promise<T>): Promise<T>;
  /** Waits a little. @throws CliError `timeout` */
  pause(ms: number): Promise<void>;
}

export interface Waiting {
  /** From `--timeout`. */
  readonly timeoutMs: number | undefined;
  /** How the thing stands, for the one who gave up waiting. */
  readonly standing: () => string;
  /** The command that waits again. */
  readonly comeBack: string;
}

const isAway = (error: unknown) =>
  error instanceof Unreachable ||
  error instanceof Timeout ||
  (error instanceof EdgeMLError && [502, 503, 504].includes(error.status));

let leaving: (() => void) | undefined;

/** Ctrl-C: what is waited for goes on without us; says how to come back. Never returns. */
export function interrupt(): never {
  leaving?.();
  process.exit(EXIT.interrupted);
}

/** Runs `work` under the limits of a waiting command. @throws CliError `timeout` when the time has passed */
export async function waiting<T>(w: Waiting, work: (wait: Wait) => Promise<T>): Promise<T> {
  const limit = new AbortController();
  const { signal } = limit;
  const stopClock = w.timeoutMs === undefined ? () => undefined : after(w.timeoutMs, () => limit.abort());
  const outer = leaving;
  leaving = () => void process.stderr.write(`\ninterrupted: ${w.standing()}. \`${w.comeBack}\` comes back to it.\n`);
  let hasAnswered = false;
  const wait: Wait = {
    signal,
    ask: async (ask) => {
      for (;;) {
        try {
          const answer = await ask(signal);
          hasAnswered = true;
          return answer;
        } catch (error) {
          if (w.timeoutMs === undefined || !hasAnswered || !isAway(error)) throw error;
          await delay(AGAIN_MS, undefined, { signal });
        }
      }
    },
    pause: (ms) => delay(ms, undefined, { signal }),
  };
  try {
    return await work(wait);
  } catch (error) {
    if (!signal.aborted || error instanceof CliError) throw error;
    throw new CliError(`--timeout has passed: ${w.standing()}. \`${w.comeBack}\` comes back to it.`, EXIT.timeout);
  } finally {
    leaving = outer;
    stopClock();
  }
}

/** Calls `then` after `ms`, however long that is. @returns what stops it */
function after(ms: number, then: () => void): () => void {
  const until = performance.now() + ms;
  let timer: NodeJS.Timeout;
  const schedule = () => {
    const left = until - performance.now();
    timer = left <= 0 ? setTimeout(then) : setTimeout(schedule, Math.min(left, LONGEST_TIMER_MS));
  };
  schedule();
  return () => clearTimeout(timer);
}
