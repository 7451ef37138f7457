/** Each new reason is logged once, and a reason is news again after it worked. */
import { expect, it } from 'vitest';
import { retrying } from './retrying.ts';

it('tries until it works, logs each new reason once, and the same one again after it worked', async () => {
  const logged: unknown[] = [];
  const logger = { warn: (fields: object, message: string) => void logged.push({ ...fields, message }) };
  const failed: string[] = [];
  const tries = ['away', 'away', 'refused', 'works, then refused', 'refused'];
  const answer = await retrying(
    {
      signal: new AbortController().signal,
      logger,
      everyMs: 0,
      fields: { part: 'p' },
      message: 'm',
      onFail: (why) => failed.push(why),
    },
    (works) => {
      const next = tries.shift();
      if (next === undefined) return Promise.resolve('done');
      if (next.startsWith('works')) works();
      return Promise.reject(new Error(next.replace('works, then ', '')));
    },
  );
  expect(answer).toBe('done');
  const line = (why: string) => ({ part: 'p', message: 'm', why });
  expect(logged).toEqual([line('away'), line('refused'), line('refused')]);
  expect(failed).toEqual(['away', 'away', 'refused', 'refused', 'refused']);
});

it('ends when it is told to, between two tries', async () => {
  const stop = new AbortController();
  const logger = { warn: () => stop.abort() };
  const never = () => Promise.reject(new Error('away'));
  expect(await retrying({ signal: stop.signal, logger, everyMs: 3_600_000, message: 'm' }, never)).toBeUndefined();
});
