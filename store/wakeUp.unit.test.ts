/** A loop that looks and then waits misses no notification. */
import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { createWakeUp } from './wakeUp.ts';

const LONG_MS = 60_000;
const open = () => new AbortController().signal;

describe('a wake-up', () => {
  it('counts a wake from before the wait, once', async () => {
    const wakeUp = createWakeUp();
    wakeUp.wake();
    expect(await wakeUp.wait(LONG_MS, open())).toBe(true);
    expect(await wakeUp.wait(1, open())).toBe(false);
  });

  it('wakes who waits', async () => {
    const wakeUp = createWakeUp();
    const waiting = wakeUp.wait(LONG_MS, open());
    wakeUp.wake();
    expect(await waiting).toBe(true);
  });

  it('leaves nothing on a signal that outlives it', async () => {
    const wakeUp = createWakeUp();
    const { signal } = new AbortController();
    for (let n = 0; n < 1_000; n += 1) {
      const waiting = wakeUp.wait(LONG_MS, signal);
      wakeUp.wake();
      await waiting;
    }
    expect(getEventListeners(signal, 'abort')).toEqual([]);
    // Composite signals that Node keeps: a set on the source that never shrinks.
    const kept = Object.getOwnPropertySymbols(signal).find((key) => key.description === 'kDependantSignals');
    expect(kept && (Reflect.get(signal, kept) as { size: number } | undefined)?.size).toBeUndefined();
  });

  it('ends at once where its signal aborts, before or meanwhile', async () => {
    const wakeUp = createWakeUp();
    const stop = new AbortController();
    const waiting = wakeUp.wait(LONG_MS, stop.signal);
    stop.abort();
    expect(await waiting).toBe(false);
    expect(await wakeUp.wait(LONG_MS, stop.signal)).toBe(false);
  });
});
