/** What is tried until another system lets it. */
import { messageOf } from '../domain/errors.ts';
import { pause } from './pause.ts';

interface Retrying {
  readonly signal: AbortSignal;
  readonly logger: { warn(fields: object, message: string): void };
  readonly everyMs: number;
  /** What a person reads of a failure, beside its reason. */
  readonly fields?: object;
  readonly message: string;
  readonly onFail?: (why: string) => void;
}

/**
 * Tries until `attempt` returns or `signal` aborts, and logs each new reason once. Never throws.
 *
 * @param attempt calls `works` where it goes well for now: the same reason after it is news
 * @returns undefined where `signal` aborted
 */
export async function retrying<T>(
  options: Retrying,
  attempt: (works: () => void) => Promise<T>,
): Promise<T | undefined> {
  const { signal, logger, everyMs, fields, message, onFail } = options;
  let logged: string | undefined;
  while (!signal.aborted) {
    try {
      return await attempt(() => (logged = undefined));
    } catch (error) {
      const why = messageOf(error);
      if (why !== logged) logger.warn({ ...fields, why }, message);
      logged = why;
      onFail?.(why);
      await pause(everyMs, signal);
    }
  }
  return undefined;
}
