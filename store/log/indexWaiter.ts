/** Waits until events have their log index: one LISTEN session and one query for all who wait. */
import type { LogIndex } from '../../domain/brands.ts';
import { createListener } from '../listen.ts';

const POLL_MS = 50;

/**
 * @param lookup  log indexes of those of `ids` that have one
 * @returns `wait(id, ms)`: the index, or null if the sequencer needs longer (or is down). A lost notification only costs the 50 ms poll.
 */
export function createIndexWaiter(
  connectionString: string,
  lookup: (ids: string[]) => Promise<ReadonlyMap<string, LogIndex>>,
): { wait(eventId: string, waitMs: number): Promise<LogIndex | null>; close(): Promise<void> } {
  const waiting = new Map<string, Set<(index: LogIndex) => void>>();
  let poll: NodeJS.Timeout | undefined;
  let isChecking = false;
  let again = false;

  async function check(): Promise<void> {
    again = true;
    if (isChecking) return;
    isChecking = true;
    try {
      while (again && waiting.size > 0) {
        again = false;
        for (const [id, index] of await lookup([...waiting.keys()]))
          waiting.get(id)?.forEach((resolve) => resolve(index));
      }
    } catch {
      // the next poll asks again; a database that stays away ends in null
    } finally {
      isChecking = false;
    }
  }

  const listener = createListener(connectionString, 'index waiter', 'edgeml_log', () => void check());

  function wait(eventId: string, waitMs: number): Promise<LogIndex | null> {
    listener.keepConnected();
    poll ??= setInterval(() => void check(), POLL_MS);
    return new Promise((resolve) => {
      const settle = (index: LogIndex | null) => {
        clearTimeout(timer);
        const others = waiting.get(eventId);
        others?.delete(settle);
        if (others?.size === 0) waiting.delete(eventId);
        if (waiting.size === 0) {
          clearInterval(poll);
          poll = undefined;
        }
        resolve(index);
      };
      const timer = setTimeout(() => settle(null), waitMs);
      const others = waiting.get(eventId);
      if (others) others.add(settle);
      else waiting.set(eventId, new Set([settle]));
      void check();
    });
  }

  return {
    wait,
    async close() {
      clearInterval(poll);
      await listener.close();
    },
  };
}
