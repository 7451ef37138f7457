/** Wakes whoever waits for a fact: one LISTEN session for all, and a poll in case a notification is lost. */
import { createListener } from '../store/listen.ts';

const POLL_MS = 250;

export interface LogWatch {
  /** Resolves when the log has grown, at the latest after a quarter of a second. */
  next(): Promise<void>;
  /** Called when the log has grown; may notify late or never. @returns stops the calls */
  onGrowth(listener: () => void): () => void;
  close(): Promise<void>;
}

/** Connects by itself, again and again; never throws. The caller closes it. */
export function createLogWatch(connectionString: string): LogWatch {
  const listeners = new Set<() => void>();
  const waiting = new Set<() => void>();
  let closed = false;
  const wake = () => waiting.forEach((resolve) => resolve());
  const listener = createListener(connectionString, 'log watch', 'edgeml_log', () => {
    wake();
    listeners.forEach((grown) => grown());
  });
  listener.keepConnected();
  const poll = setInterval(() => {
    listener.keepConnected();
    wake();
  }, POLL_MS);

  return {
    next: () =>
      new Promise((resolve) => {
        const once = () => {
          waiting.delete(once);
          resolve();
        };
        waiting.add(once);
        if (closed) once();
      }),
    onGrowth(grown) {
      listeners.add(grown);
      return () => void listeners.delete(grown);
    },
    async close() {
      closed = true;
      clearInterval(poll);
      await listener.close();
      wake();
    },
  };
}

/**
 * Asks again and again, whenever the log grows, until `ask` answers or `ms` have passed.
 *
 * @returns the answer; undefined if none came in time
 */
export async function waitUntil<T>(
  watch: LogWatch,
  ms: number,
  ask: () => Promise<T | undefined>,
): Promise<T | undefined> {
  const until = performance.now() + ms;
  for (;;) {
    const grown = watch.next(); // before asking, so that nothing is missed in between
    const answer = await ask();
    const left = until - performance.now();
    if (answer !== undefined || left <= 0) return answer;
    let timer: NodeJS.Timeout | undefined;
    await Promise.race([grown, new Promise((resolve) => (timer = setTimeout(resolve, left)))]);
    clearTimeout(timer);
  }
}
