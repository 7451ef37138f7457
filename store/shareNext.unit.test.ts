import { describe, expect, it } from 'vitest';
import { shareNext } from './shareNext.ts';

/** A question whose runs end by hand. */
function manual() {
  const runs: { resolve(n: number): void; reject(error: Error): void }[] = [];
  const ask = shareNext(() => new Promise<number>((resolve, reject) => runs.push({ resolve, reject })));
  return { ask, runs };
}
const turn = () => new Promise(setImmediate);

describe('an answer that is shared', () => {
  it('comes from a run that began after each who gets it asked', async () => {
    const { ask, runs } = manual();
    const first = ask();
    const [second, third] = [ask(), ask()];
    expect(runs).toHaveLength(1);
    runs[0]!.resolve(1);
    expect(await first).toBe(1);
    await turn();
    expect(runs).toHaveLength(2);
    const fourth = ask(); // the second run began before this question
    runs[1]!.resolve(2);
    expect([await second, await third]).toEqual([2, 2]);
    await turn();
    expect(runs).toHaveLength(3);
    runs[2]!.resolve(3);
    expect(await fourth).toBe(3);
  });

  it('is asked at once where none is under way, and again after one that failed', async () => {
    const { ask, runs } = manual();
    const [first, second] = [ask(), ask()];
    runs[0]!.reject(new Error('away'));
    await expect(first).rejects.toThrow('away');
    await turn();
    runs[1]!.resolve(2);
    expect(await second).toBe(2);
    await turn();
    void ask();
    expect(runs).toHaveLength(3);
  });
});
