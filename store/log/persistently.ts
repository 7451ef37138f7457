/** Tries again what Postgres asks to be tried again. */
import { Fatal, LifecycleError } from '../../domain/errors.ts';
import { codeOf, isConnectionLost } from '../connect.ts';

const PATIENCE_MS = 10_000;
// Deadlock, lock time-out, statement time-out (of an append: it waited for locks), no connection free.
const PASSING = new Set(['40P01', '55P03', '57014', '53300']);

/** Nothing was stored, and a second try may fare better. */
function isPassing(error: unknown): boolean {
  const code = codeOf(error);
  if (code !== undefined && PASSING.has(code)) return true;
  // The same command raced on other streams: the second call reads the first one's outcome.
  return code === '23505' && error instanceof Error && 'constraint' in error && error.constraint === 'events_command';
}

/**
 * Runs `attempt` until it answers, for about 10 s, with growing pauses. It must be idempotent: an answer may have been lost.
 * `attempt` calls `sent` before its first statement goes out, so that a refused connection is not mistaken for a lost answer.
 *
 * @throws Fatal if the last word on whether it took effect is missing; LifecycleError `unavailable` if it certainly did not;
 *   any other error of `attempt` as it is
 */
export async function persistently<T>(what: string, attempt: (sent: () => void) => Promise<T>): Promise<T> {
  const giveUpAt = performance.now() + PATIENCE_MS;
  let isUnknown = false;
  for (let n = 0; ; n += 1) {
    let isSent = false;
    try {
      return await attempt(() => (isSent = true));
    } catch (error) {
      const isLost = isConnectionLost(error);
      if (!isLost && !isPassing(error)) throw error;
      isUnknown ||= isLost && isSent;
      const pauseMs = Math.min(1_000, 10 * 2 ** n) * (0.5 + Math.random() / 2);
      if (performance.now() + pauseMs > giveUpAt) {
        const why = error instanceof Error ? error.message : String(error);
        if (isUnknown)
          throw new Fatal(`${what}: the connection was lost and whether it took effect is unknown; reload (${why})`, {
            cause: error,
          });
        throw new LifecycleError(
          'unavailable',
          `${what}: Postgres did not take it in 10 s, nothing was stored (${why})`,
          {},
          { cause: error },
        );
      }
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }
}
