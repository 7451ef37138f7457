/** A few at a time, in order, and no further than the first that says no. */
import { describe, expect, it } from 'vitest';
import { together } from './together.ts';

const numbers = (n: number) => Array.from({ length: n }, (_, i) => i);
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

describe('together', () => {
  it('visits each item once, in order, as many at once as it may', async () => {
    const begun: number[] = [];
    let now = 0;
    let most = 0;
    const visit = async (n: number) => {
      begun.push(n);
      most = Math.max(most, (now += 1));
      await turn();
      now -= 1;
      return true;
    };
    expect(await together(numbers(50), 7, visit)).toBe(true);
    expect(begun).toEqual(numbers(50));
    expect(most).toBe(7);
  });

  it('is done at once where there is nothing', async () => {
    expect(await together([], 7, () => Promise.reject(new Error('nothing to visit')))).toBe(true);
  });

  it.each([
    ['answers false', () => Promise.resolve(false), undefined],
    ['throws', () => Promise.reject(new Error('the first')), 'the first'],
  ])('begins none after one that %s, and waits for those under way', async (_, end, message) => {
    const begun: number[] = [];
    const ended: number[] = [];
    const run = together(numbers(100), 4, async (n) => {
      begun.push(n);
      await turn();
      if (n >= 9 && n <= 10) return end();
      await turn();
      ended.push(n);
      return true;
    });
    if (message === undefined) expect(await run).toBe(false);
    else await expect(run).rejects.toThrow(message);
    expect(begun.length).toBeLessThanOrEqual(13);
    expect(ended).toEqual(begun.filter((n) => n < 9 || n > 10));
  });
});
