/** The checksum of a key notices a typing mistake. */
import { describe, expect, it } from 'vitest';
import { isTestKey, isWellFormed, keyHash, newSecret, randomDigits } from './keyFormat.ts';

describe('key format', () => {
  const example = 'ek_live_4fK9xQ2mVt7Lr0ZsW8bYc3NhJd6PgE1a0wPo81'; // docs/design/http.md "Keys"

  it('has the checksum of the documented example', () => {
    expect(isWellFormed(example)).toBe(true);
  });

  it('notices any one changed digit, and what is missing or added', () => {
    for (let i = 8; i < example.length; i += 1) {
      const other = example[i] === 'a' ? 'b' : 'a';
      expect(isWellFormed(example.slice(0, i) + other + example.slice(i + 1))).toBe(false);
    }
    expect(isWellFormed(example.slice(0, -1))).toBe(false);
    expect(isWellFormed(`${example}0`)).toBe(false);
    expect(isWellFormed(example.replace('live', 'prod'))).toBe(false);
  });

  it('makes well-formed secrets of both kinds, all different', () => {
    const made = Array.from({ length: 200 }, (_, i) => newSecret(i % 2 ? 'live' : 'test'));
    expect(made.every(isWellFormed)).toBe(true);
    expect(made.filter(isTestKey)).toHaveLength(100);
    expect(new Set(made).size).toBe(200);
    expect(new Set(made.map((s) => keyHash(s).toString('hex'))).size).toBe(200);
  });

  it('uses all 62 digits', () => {
    expect(new Set(randomDigits(5_000)).size).toBe(62);
  });
});
