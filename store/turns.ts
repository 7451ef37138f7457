/** Long work on the event loop, cut so that devices, stops and followers of the same process do not wait for all of it. */
import { setImmediate } from 'node:timers/promises';

/** Some milliseconds of decoding, hashing or projecting facts. */
const AT_ONCE = 100;

/** Awaited before the `i`-th piece of work (from 0): after every hundred pieces it lets others have their turn. */
export async function turnBefore(i: number): Promise<void> {
  if (i > 0 && i % AT_ONCE === 0) await setImmediate();
}

/** `map`, in turns. @throws what `work` throws, at the first item that fails */
export async function mapInTurns<T, R>(items: readonly T[], work: (item: T, i: number) => R): Promise<R[]> {
  const done: R[] = [];
  for (const [i, item] of items.entries()) {
    await turnBefore(i);
    done.push(work(item, i));
  }
  return done;
}
