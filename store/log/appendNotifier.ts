/** Tells the sequencer that facts wait. Losing a notification costs at most its poll of one second. */
import type { Pool } from '../connect.ts';

const PAUSE_MS = 5;

/**
 * A notification is `NOTIFY edgeml_append` on a connection of its own, after the append's commit: inside the transaction it would
 * take a cluster-wide lock at commit and serialise every append (3,100/s became 240/s at 16 connections,
 * docs/design/event-log.md "Notification after the commit"). At most one every 5 ms; notifications in between are folded into one at the
 * end of the pause. Never throws, never waits.
 */
export function createAppendNotifier(pool: Pool): { notify(): void; close(): void } {
  let timer: NodeJS.Timeout | undefined;
  let waiting = false;
  let closed = false;
  const notify = () => {
    waiting = false;
    timer = setTimeout(() => {
      timer = undefined;
      if (waiting) notify();
    }, PAUSE_MS);
    pool.query('NOTIFY edgeml_append').catch(() => undefined); // the poll finds what this notification would have told
  };
  return {
    notify() {
      if (closed) return;
      if (timer) waiting = true;
      else notify();
    },
    close() {
      closed = true;
      clearTimeout(timer);
    },
  };
}
