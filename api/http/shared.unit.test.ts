/** What many ask at once is made once. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { shared } from './shared.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe('a shared answer', () => {
  it('is made once for all who ask while it is made, and for a second after it', async () => {
    let n = 0;
    const ask = shared(async () => {
      await new Promise((resolve) => setTimeout(resolve, 5_000));
      return (n += 1);
    });
    const asked = Promise.all(Array.from({ length: 300 }, ask));
    await vi.advanceTimersByTimeAsync(5_000);
    expect(new Set(await asked)).toEqual(new Set([1]));
    await vi.advanceTimersByTimeAsync(999);
    expect(await ask()).toBe(1);
    await vi.advanceTimersByTimeAsync(2);
    const next = ask();
    await vi.advanceTimersByTimeAsync(5_000);
    expect(await next).toBe(2);
  });

  it('is not kept where it failed', async () => {
    let n = 0;
    const ask = shared(() => ((n += 1) === 1 ? Promise.reject(new Error('no')) : Promise.resolve('yes')));
    await expect(ask()).rejects.toThrow('no');
    expect(await ask()).toBe('yes');
  });
});
