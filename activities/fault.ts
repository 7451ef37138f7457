/** Which exceptions say that another try would fail the same way: those of our own code, and only when they come again. */
import { TemporalFailure } from '@temporalio/common';
import { Fatal, LifecycleError } from '../domain/errors.ts';
import { isPostgresFault } from '../store/connect.ts';

/** Equal faults in a row after which an activity is given up. */
const TRIES = 3;
/** Activities whose faults are remembered; the oldest are forgotten first. */
const REMEMBERED = 10_000;
/** Faults of the system below us, such as EIO or ENOSPC of a blob, and streams that broke off. */
const SYSTEM = /^(E[A-Z0-9]+|ERR_STREAM_.*|ABORT_ERR)$/;

/** An exception that nobody declared. Faults of Postgres, blobs, Temporal and runtimes pass, so they keep their retries. */
export function isUndeclared(error: unknown): boolean {
  if (error instanceof LifecycleError || error instanceof Fatal || error instanceof TemporalFailure) return false;
  if (!(error instanceof Error)) return true;
  if (error.name === 'AbortError' || error.name === 'TimeoutError' || isPostgresFault(error)) return false;
  return !('code' in error && typeof error.code === 'string' && SYSTEM.test(error.code));
}

/** Name, message and where it was thrown; numbers and hashes in the message differ from try to try. */
function fingerprint(error: unknown): string {
  if (!(error instanceof Error)) return `${typeof error} ${String(error)}`;
  const frame = error.stack?.split('\n').find((line) => /^\s+at /.test(line)) ?? '';
  return `${error.name} ${error.message.replace(/[0-9a-f]{8,}|\d+/gi, '#')} ${frame.trim()}`;
}

/** For facts and people: at most 500 characters, on one line. */
export function describeFault(activity: string, error: unknown): string {
  const what = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  const line = `${activity} failed ${TRIES} times with ${what}`.replace(/\p{C}+/gu, ' ');
  return [...line].slice(0, 500).join('');
}

export interface Faults {
  /** Notes a failed try. True for the third equal one in a row; the count then begins anew. */
  isRepeated(activity: string, error: unknown): boolean;
  /** The activity ended well, or in another way than by a fault. */
  forget(activity: string): void;
}

/** In the worker's memory: a restart counts anew, and each of several workers counts for itself. */
export function createFaults(): Faults {
  const seen = new Map<string, { readonly print: string; readonly times: number }>();
  return {
    isRepeated(activity, error) {
      const print = fingerprint(error);
      const before = seen.get(activity);
      seen.delete(activity);
      const times = before?.print === print ? before.times + 1 : 1;
      if (times >= TRIES) return true;
      if (seen.size >= REMEMBERED) seen.delete(seen.keys().next().value!);
      seen.set(activity, { print, times });
      return false;
    },
    forget: (activity) => void seen.delete(activity),
  };
}
