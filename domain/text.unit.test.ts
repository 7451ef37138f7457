import { describe, expect, it } from 'vitest';
import { cutText, keepEnd } from './text.ts';

describe('a long text is cut', () => {
  it('between code points at every place, so a good text never becomes a bad one', () => {
    for (const text of ['🦊'.repeat(9), 'a🦊b🦊c🦊', '🦊a🦊b', 'é\u0301漢字🦊']) {
      for (let most = 0; most <= text.length + 1; most += 1) {
        const cut = cutText(text, most);
        expect(cut).not.toMatch(/\p{Surrogate}/u);
        expect(text.startsWith(cut)).toBe(true);
        expect([...cut]).toHaveLength(Math.min(most, [...text].length));
      }
    }
  });

  it('and its end is kept, without half a pair', () => {
    expect(keepEnd('a🦊🦊', 3)).toBe('🦊');
    expect(keepEnd('a🦊🦊', 4)).toBe('🦊🦊');
  });

  it('and a short one is left alone, half pairs too', () => {
    expect(cutText('\ud83d', 1)).toBe('\ud83d');
    expect(cutText('', 0)).toBe('');
  });
});
