/** A device has another name in each run. */
import { describe, expect, it } from 'vitest';
import { pseudonymOf } from './postgresRoundStore.ts';

describe('pseudonymOf', () => {
  // HMAC-SHA256 test case 1 of RFC 4231, its first 16 bytes.
  it('is 16 bytes of HMAC-SHA256 under the run key', () => {
    expect(pseudonymOf(Buffer.alloc(20, 0x0b), 'Hi There')).toBe('b0344c61d8db38535ca8afceaf0bf12b');
  });

  it('differs between runs and devices', () => {
    const [one, two] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)];
    expect(new Set([pseudonymOf(one, 'a'), pseudonymOf(two, 'a'), pseudonymOf(one, 'b')]).size).toBe(3);
  });
});
