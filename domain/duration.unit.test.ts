/** Durations of requests are bounded; those that facts hold can always be read. */
import { describe, expect, it } from 'vitest';
import { durationMs, formatDuration, LONGEST_MS, parseDuration } from './duration.ts';

describe('a duration of a request', () => {
  it('is a number with a unit, of at most 365 days', () => {
    expect([parseDuration('200ms'), parseDuration('1.5s'), parseDuration('365d')]).toEqual([200, 1_500, LONGEST_MS]);
    for (const text of ['366d', '8761h', '999999999999d', `${'9'.repeat(400)}ms`, '-1s', '1', 's', '1w', '1e3s', ''])
      expect(parseDuration(text), text).toBeUndefined();
  });

  it('is written as it is read', () => {
    for (const text of ['90s', '1d', '250ms', '3m']) expect(formatDuration(parseDuration(text)!)).toBe(text);
  });
});

describe('a duration that a fact holds', () => {
  it('counts as 365 days where it is longer, so that a deadline made from it is a date', () => {
    for (const text of ['999999999999d', `${'9'.repeat(400)}d`]) {
      expect(durationMs(text)).toBe(LONGEST_MS);
      expect(() => new Date(Date.UTC(2026, 10, 30) + durationMs(text)).toISOString()).not.toThrow();
    }
    expect(() => durationMs('soon')).toThrow(RangeError);
  });
});
