/** Tries again what Postgres asks to be tried again. */
import { Fatal, LifecycleError } from '../../domain/errors.ts';
import { codeOf, isBusy, isConnectionLost } from '../connect.ts';

const PATIENCE_MS = 8_000;

/** Nothing was stored, and a second try may fare better. */
function isPassing(error: unknown): boolean {
  if (isBusy(error)) return true;
  // The same command raced on other streams: the second call reads the first one's outcome.
  return (
    codeOf(error) === '23505' &&
    error instanceof Error &&
    'constraint' in error &&
    error.constraint === 'events_command'
  );
}

/** Raised in an attempt that was given up before it sent anything, so that it sends nothing later. */
class GivenUp extends Error {}

/**
 * Runs `attempt` until it answers, with growing pauses, and answers after 8 s in any case: an attempt that still waits then is
 * given up. It must be idempotent: an answer may have been lost. `attempt` calls `sent` before its first statement goes out, so
 * that a refused connection is not mistaken for a lost answer.
 *
 * @throws Fatal if the last word on whether it took effect is missing; LifecycleError `unavailable` if it certainly did not;
 *   any other error of `attempt` as it is
 */
export async function persistently<T>(what: string, attempt: (sent: () => void) => Promise<T>): Promise<T> {
  const giveUpAt = performance.now() + PATIENCE_MS;
  let isUnknown = false;
  for (let n = 0; ; n += 1) {
    const { outcome, isSent } = await oneTry(attempt, giveUpAt - performance.now());
    if ('value' in outcome) return outcome.value;
    const { error } = outcome;
    const isLost = isConnectionLost(error) || error instanceof GivenUp;
    if (!isLost && !isPassing(error)) throw error;
    isUnknown ||= isLost && isSent;
    const pauseMs = Math.min(1_000, 10 * 2 ** n) * (0.5 + Math.random() / 2);
    if (performance.now() + pauseMs > giveUpAt) throw theEnd(what, error, isUnknown);
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

type Tried<T> = { readonly value: T } | { readonly error: unknown };

/** Never throws. After `ms` the error is {@link GivenUp}; what was sent by then goes on, and its connection ends by its own limit. */
async function oneTry<T>(
  attempt: (sent: () => void) => Promise<T>,
  ms: number,
): Promise<{ readonly outcome: Tried<T>; readonly isSent: boolean }> {
  let isSent = false;
  let isOver = false;
  const send = () => {
    if (isOver) throw new GivenUp('it was given up before anything was sent');
    isSent = true;
  };
  let timer: NodeJS.Timeout | undefined;
  const tooLong = new Promise<Tried<T>>((resolve) => {
    timer = setTimeout(() => resolve({ error: new GivenUp('no answer came') }), ms);
  });
  const answer = attempt(send).then(
    (value): Tried<T> => ({ value }),
    (error: unknown): Tried<T> => ({ error }),
  );
  const outcome = await Promise.race([answer, tooLong]);
  clearTimeout(timer);
  isOver = true;
  return { outcome, isSent };
}

function theEnd(what: string, cause: unknown, isUnknown: boolean): Error {
  const why = cause instanceof Error ? cause.message : String(cause);
  if (isUnknown) {
    const text = `${what}: the connection was lost and whether it took effect is unknown; reload (${why})`;
    return new Fatal(text, { cause });
  }
  const text = `${what}: Postgres did not take it in ${PATIENCE_MS / 1_000} s, nothing was stored (${why})`;
  return new LifecycleError('unavailable', text, {}, { cause });
}
