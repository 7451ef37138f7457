/** Waits no longer than it may. What was asked goes on by itself; it ends by its own limit, and its answer is dropped. */
import { isBusy } from './connect.ts';

class Late extends Error {}

/** The answer. @throws Error once `ms` have passed, naming `what`; what `answer` throws */
export async function within<T>(ms: number, what: string, answer: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Late(`${what} did not answer in ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** A count that grows with the fleet; null where it takes longer than `ms`, or than Postgres gives it. @throws what else it throws */
export async function countedWithin<T>(ms: number, count: Promise<T>): Promise<T | null> {
  try {
    return await within(ms, 'a count', count);
  } catch (error) {
    if (error instanceof Late || isBusy(error)) return null;
    throw error;
  }
}
