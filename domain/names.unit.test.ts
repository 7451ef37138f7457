import { describe, expect, it } from 'vitest';
import { LifecycleError } from './errors.ts';
import { modelIdOf } from './hash/uuid.ts';
import { foldName, labelFrom, modelNameFrom } from './names.ts';
import { asOrgId } from './org.ts';

const ORG = asOrgId('org_local');

describe("a model's name", () => {
  it('is stored composed and without space at its ends, and what was changed is said', () => {
    expect(modelNameFrom('spam-filter')).toEqual({ name: 'spam-filter', changes: [] });
    expect(modelNameFrom(' trail\u00a0\n')).toMatchObject({
      name: 'trail',
      changes: [expect.stringContaining('"trail"')],
    });
    expect(modelNameFrom('cafe\u0301')).toMatchObject({
      name: 'caf\u00e9',
      changes: [expect.stringContaining('form C')],
    });
    expect(modelNameFrom(' cafe\u0301 ').changes).toHaveLength(2);
    expect(modelNameFrom('모델 1 – 漢字 🦊').changes).toEqual([]);
  });

  it.each([
    ['', 'characters'],
    ['  \u3000', 'characters'],
    ['x'.repeat(201), '201 characters'],
    ['a:b', '":"'],
    ['a/b', '"/"'],
    ['0199f0a4-7c1e-7d2a-8a3b-0123456789ab', 'UUID'],
    [' 0199F0A4-7C1E-7D2A-8A3B-0123456789AB ', 'UUID'],
    ['latest', 'word'],
    [' Latest ', 'word'],
    ['DEFAULT', 'word'],
    ['.', 'word'],
    ['..', 'word'],
    ['a\u0000b', 'U+0000'],
    ['a\tb', 'U+0009'],
    ['a\u001b[31m', 'U+001B'],
    ['a\u0085b', 'U+0085'],
    ['a\u202eb', 'U+202E'],
    ['a\u200db', 'U+200D'],
    ['a\u200bb', 'U+200B'],
    ['a\u00adb', 'U+00AD'],
    ['a\ufe0fb', 'U+FE0F'],
    ['a\u3164b', 'U+3164'],
    ['a\ufffeb', 'U+FFFE'],
    ['a\u{e0041}b', 'U+E0041'],
    ['a\u2028b', 'U+2028'],
    ['a\ud800b', 'U+D800'],
    ['a\u00a0b', 'space'],
    ['a\u3000b', 'space'],
  ])('cannot be %j', (text, why) => {
    const problem = (() => {
      try {
        return modelNameFrom(text);
      } catch (error) {
        return error;
      }
    })();
    expect(problem).toBeInstanceOf(LifecycleError);
    expect(problem).toMatchObject({ code: 'invalid_input', evidence: { errors: [{ pointer: '/name' }] } });
    expect(String(problem)).toContain(why);
  });

  it('may have 200 characters of any plane, and what only looks like an id', () => {
    expect(modelNameFrom('🦊'.repeat(200)).changes).toEqual([]);
    expect(modelNameFrom('0199f0a4-7c1e-7d2a').name).toBe('0199f0a4-7c1e-7d2a');
    expect(modelNameFrom('0199f0a47c1e7d2a8a3b0123456789ab').changes).toEqual([]);
  });
});

describe('every spelling of a name is one model', () => {
  it('whose id is for ever', () => {
    expect(modelIdOf(ORG, 'spam-filter')).toBe('5dec5de3-3d9b-58e8-b6e8-6b0c5b51b5bf');
    expect(modelIdOf(ORG, 'Caf\u00e9')).toBe('4a9b0a73-0f29-5a9f-8de7-4d6095f0cac9');
    expect(modelIdOf(ORG, 'straße')).toBe('7d29cafc-d88e-503a-812e-3dc9c3531790');
  });

  it.each([
    ['café', 'CAFE\u0301', ' cafe\u0301 '],
    ['ΟΔΟΣ', 'οδος', 'οδοσ', 'Οδος'],
    ['ΟΔΟΣ.α', 'οδος.α', 'οδοσ.Α'],
    ['İSTANBUL', 'i\u0307stanbul', 'I\u0307STANBUL'],
    ['STRAẞE', 'straße'],
    ['ǰ', 'J\u030c'],
    ['\u212bngström', 'ångström', 'A\u030angstro\u0308m'],
    ['Ωmega', '\u2126MEGA'],
    ['각', '\u1100\u1161\u11a8'],
  ])('%s', (first, ...others) => {
    for (const other of others) expect(modelIdOf(ORG, other)).toBe(modelIdOf(ORG, first));
  });

  it('but another word is another', () => {
    for (const [one, other] of [
      ['straße', 'strasse'],
      ['kapı', 'kapi'],
      ['istanbul', 'İstanbul'],
      ['a b', 'ab'],
      ['ﬁt', 'fit'],
    ] as const) {
      expect(modelIdOf(ORG, one)).not.toBe(modelIdOf(ORG, other));
    }
  });

  it('and folding twice changes nothing, for any letter, alone or in company', () => {
    for (let point = 0; point <= 0x1efff; point += point === 0x33ff ? 0x6c00 : point === 0xabff ? 0x4d00 : 1) {
      const letter = String.fromCodePoint(point);
      for (const text of [`${letter}\u0301`, `Α${letter}.α`]) {
        const folded = foldName(text);
        if (foldName(folded) !== folded) expect.fail(`U+${point.toString(16)} in ${JSON.stringify(text)}`);
        if (foldName(text.normalize('NFD')) !== folded) expect.fail(`U+${point.toString(16)} decomposed`);
      }
    }
  });
});

describe('the name of a key', () => {
  it('is spelled the same way, and may be any word that can be read', () => {
    expect(labelFrom(' o\u0308l: a/b ')).toMatchObject({
      name: 'öl: a/b',
      changes: [{}, {}].map(() => expect.any(String)),
    });
    expect(labelFrom('latest').name).toBe('latest');
    expect(() => labelFrom('a\u202eb')).toThrow('U+202E');
    expect(() => labelFrom('  ')).toThrow('characters');
  });
});
