import { describe, expect, it } from 'vitest';
import { checkpointText, parseCheckpoint } from './checkpoint.ts';

const root = '0001'.repeat(8) + 'fffe'.repeat(8);
const text = 'example.org/x/log/1\n42\nAAEAAQABAAEAAQABAAEAAf/+//7//v/+//7//v/+//4=\n';

describe('checkpoint', () => {
  it('is this text, and is read again', () => {
    const checkpoint = { origin: 'example.org/x/log/1', size: 42, root };
    expect(checkpointText(checkpoint)).toBe(text);
    for (const one of [
      text,
      text.trimEnd(),
      text.replaceAll('\n', '\r\n'),
      `${text}\n— example.org/x AAAA\n`,
      JSON.stringify({ text }),
    ])
      expect(parseCheckpoint(one)).toEqual({ ok: true, checkpoint });
  });

  it('refuses what is none, and says what was expected', () => {
    const broken = [
      '',
      'x',
      '{',
      '{"text": 1}',
      'origin\n42\n',
      text.replace('42', '-1'),
      text.replace('42', '042'),
      text.replace('42', '4e2'),
      text.replace('42', '9999999999999999'),
      text.replace('example', 'exam ple'),
      text.replace('AAEA', ''),
      text.replace('//4=', '//5='),
      `${text}\nno signature\n`,
      '\u0000'.repeat(10),
    ];
    for (const one of broken) {
      const read = parseCheckpoint(one);
      expect(read.ok, JSON.stringify(one)).toBe(false);
      if (!read.ok) expect(read.why).toContain('expected three lines: origin, size, base64');
    }
  });
});
