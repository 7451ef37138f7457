/** A loop that looks and then waits misses no ring. */
import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { createBell } from './bell.ts';

const LONG_MS = 60_000;
const open = () => new AbortController().signal;

describe('bell', () => {
  it('counts a ring from before the wait, once', async () => {
    const bell = createBell();
    bell.ring();
    expect(await bell.wait(LONG_MS, open())).toBe(true);
    expect(await bell.wait(1, open())).toBe(false);
  });

  it('wakes who waits', async () => {
    const bell = createBell();
    const waiting = bell.wait(LONG_MS, open());
    bell.ring();
    expect(await waiting).toBe(true);
  });

  it('leaves nothing on a signal that outlives it', async () => {
    const bell = createBell();
    const { signal } = new AbortController();
    for (let n = 0; n < 1_000; n += 1) {
      const waiting = bell.wait(LONG_MS, signal);
      bell.ring();
      await waiting;
    }
    expect(getEventListeners(signal, 'abort')).toEqual([]);
    // Composite signals that Node keeps: a set on the source that never shrinks.
    const kept = Object.getOwnPropertySymbols(signal).find((key) => key.description === 'kDependantSignals');
    expect(kept && (Reflect.get(signal, kept) as { size: number } | undefined)?.size).toBeUndefined();
  });

  it('ends at once where its signal aborts, before or meanwhile', async () => {
    const bell = createBell();
    const stop = new AbortController();
    const waiting = bell.wait(LONG_MS, stop.signal);
    stop.abort();
    expect(await waiting).toBe(false);
    expect(await bell.wait(LONG_MS, stop.signal)).toBe(false);
  });
});
