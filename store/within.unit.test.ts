/** How long is waited. */
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { countedWithin, within } from './within.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

it('an answer that is late is a fault', async () => {
  const late = expect(within(2_000, 'a part', new Promise(() => undefined))).rejects.toThrow('a part did not answer');
  await vi.advanceTimersByTimeAsync(2_000);
  await late;
  expect(await within(2_000, 'a part', Promise.resolve(1))).toBe(1);
});

it('a count that is late, or that Postgres ended, is null; any other fault is one', async () => {
  const late = countedWithin(2_000, new Promise(() => undefined));
  await vi.advanceTimersByTimeAsync(2_000);
  expect(await late).toBeNull();
  const fault = (code: string) => Promise.reject(Object.assign(new Error(code), { code }));
  expect(await countedWithin(2_000, fault('57014'))).toBeNull();
  await expect(countedWithin(2_000, fault('42P01'))).rejects.toThrow('42P01');
});
