/** Readers side by side get every fact in order, and a page is fetched once for all of them. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { SequencedEvent } from '../domain/events/envelope.ts';
import { shareReading } from './sharedReading.ts';

/** A log that grows, with facts that cannot be decoded; counts what is asked of it. */
function logOf(size: number, broken: ReadonlySet<number> = new Set()) {
  const log = {
    size,
    fetched: 0,
    async readLog(after: number, limit: number) {
      await Promise.resolve();
      const events: SequencedEvent[] = [];
      for (let i = after + 1; i < Math.min(log.size, after + 1 + limit); i += 1) {
        if (broken.has(i)) throw new Error(`no fact at ${i}`);
        events.push({ logIndex: i } as SequencedEvent); // nobody here looks at more of it
      }
      log.fetched += events.length;
      return events;
    },
  };
  return log;
}

/** Reads to the end in steps of `limit`. */
async function readAll(log: Pick<ReturnType<typeof logOf>, 'readLog'>, limit: number): Promise<number[]> {
  const seen: number[] = [];
  for (;;) {
    const events = await log.readLog(seen.at(-1) ?? -1, limit);
    if (events.length === 0) return seen;
    seen.push(...events.map((e) => e.logIndex));
  }
}
const upTo = (n: number) => Array.from({ length: n }, (_, i) => i);

describe('one reading of the log', () => {
  it('gives each reader every fact once, whatever the size of its steps', async () => {
    const limits = fc.array(fc.integer({ min: 1, max: 1_500 }), { minLength: 1, maxLength: 5 });
    await fc.assert(
      fc.asyncProperty(fc.nat(6_000), limits, async (size, steps) => {
        const shared = shareReading(logOf(size));
        const all = await Promise.all(steps.map((limit) => readAll(shared, limit)));
        for (const seen of all) expect(seen).toEqual(upTo(size));
      }),
    );
  });

  it('fetches a page once for six readers', async () => {
    const log = logOf(5_000);
    const shared = shareReading(log);
    await Promise.all(upTo(6).map(() => readAll(shared, 1_000)));
    expect(log.fetched).toBe(5_000);
  });

  it('never answers a page from before it was full', async () => {
    const log = logOf(0);
    const shared = shareReading(log);
    const seen: number[] = [];
    for (const size of [0, 3, 499, 500, 501, 1_000, 1_700]) {
      const early = shared.readLog(seen.length - 1, 1_000); // asked before the log has grown
      log.size = size;
      await early;
      for (;;) {
        const events = await shared.readLog(seen.length - 1, 1_000);
        if (events.length === 0) break;
        seen.push(...events.map((e) => e.logIndex));
      }
      expect(seen).toEqual(upTo(size));
    }
  });

  it('lets a reader come up to a fact that cannot be decoded, and go on behind it', async () => {
    const shared = shareReading(logOf(1_200, new Set([700])));
    await expect(shared.readLog(499, 1_000)).rejects.toThrow('no fact at 700');
    expect((await shared.readLog(499, 200)).map((e) => e.logIndex)).toEqual(upTo(700).slice(500));
    expect((await shared.readLog(700, 1_000)).map((e) => e.logIndex)).toEqual(upTo(1_000).slice(701));
    expect(await shared.readLog(999, 1_000)).toHaveLength(200);
  });
});
