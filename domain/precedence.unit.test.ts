/** The text by which a database sorts versions. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { byPrecedenceDesc, precedenceKey } from './semver.ts';

const number = fc.oneof(fc.integer({ min: 0, max: 12 }), fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }));
const word = fc.stringMatching(/^[0-9A-Za-z-]{0,6}[A-Za-z-]$/);
const identifiers = fc.array(fc.oneof(number.map(String), word), { maxLength: 4 });
const version = fc
  .tuple(number, number, number, identifiers)
  .map(([a, b, c, ids]) => `${a}.${b}.${c}${ids.length === 0 ? '' : `-${ids.join('.')}`}`);

describe('precedenceKey', () => {
  it('sorts as semantic versions do, for any two', () => {
    fc.assert(
      fc.property(version, version, (a, b) => {
        const [x, y] = [precedenceKey(a), precedenceKey(b)];
        expect(Math.sign(byPrecedenceDesc(a, b)) + 0).toBe(x === y ? 0 : x < y ? 1 : -1);
        expect(x).toMatch(/^[0-9a-f]+$/);
      }),
      { numRuns: 5_000 },
    );
  });

  it('puts the examples of the standard in their order', () => {
    const order = ['1.0.0-alpha', '1.0.0-alpha.1', '1.0.0-alpha.beta', '1.0.0-beta', '1.0.0-beta.2', '1.0.0-beta.11'];
    const all = [...order, '1.0.0-rc.1', '1.0.0', '1.0.10', '1.2.0', '1.10.0', '10.0.0'];
    expect(all.toReversed().toSorted((a, b) => (precedenceKey(a) < precedenceKey(b) ? -1 : 1))).toEqual(all);
  });
});
