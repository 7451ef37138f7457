/** Texts that break what was not made for them. Each is bytes: some are no text at all. */

export interface Hostile {
  readonly what: string;
  readonly bytes: Buffer;
  /** Between the quotes of a JSON string. */
  readonly json: Buffer;
}

/** UTF-8, and for half of a surrogate pair the three bytes that UTF-8 does not allow. */
function bytesOf(text: string): Buffer {
  const parts = Array.from(text, (char) => {
    const point = char.codePointAt(0)!;
    if (point < 0xd800 || point > 0xdfff) return Buffer.from(char);
    return Buffer.from([0xe0 | (point >> 12), 0x80 | ((point >> 6) & 0x3f), 0x80 | (point & 0x3f)]);
  });
  return Buffer.concat(parts);
}

const TEXTS: readonly string[] = [
  '',
  ' ',
  ' padded\u00a0',
  '\0',
  'a\0b',
  '\ud83d',
  'half \ud83d',
  '\udc00 half',
  '\udc00\ud83d',
  'cafe\u0301',
  '\u212b',
  '\u1100\u1161\u11a8',
  `a${'\u0301'.repeat(100)}`,
  'İSTANBUL ß ΟΔΟΣ ﬁ',
  '🦊',
  '👩\u200d👩\u200d👧',
  '\u202eabc\u2066',
  'zero\u200bwidth\u00ad',
  '\ufeffmarked',
  '\ufffe\uffff\u{10ffff}',
  '\ue000\u{f0000}',
  '\u001b[31mred',
  '\u0085\u009f\u007f',
  'line\r\nx-injected: yes',
  'a\tb',
  '\u2028\u2029',
  '.',
  '..',
  '../../../etc/passwd',
  '..\\..',
  '%',
  '%00',
  '%2f',
  '%2e%2e',
  '%ff',
  'a/b?c=d#e',
  'a:b@c',
  "'; DROP TABLE store.events; --",
  '" OR 1=1',
  '\\',
  '\\u0000',
  '%_\\%',
  '$1 $$ ${x} {{x}}',
  '<script>alert(1)</script>',
  '{"a":1}',
  '[]',
  '__proto__',
  'constructor',
  'toString',
  'null',
  'undefined',
  'NaN',
  '1e400',
  '-1',
  '9'.repeat(30),
  '9223372036854775808',
  '2026-02-30T00:00:00Z',
  '2026-01-01T24:00:00+99:99',
  'event:x',
  'event:00000000-0000-0000-0000-000000000000',
  'version:999999999999999999999',
  'version-@-@',
  '00000000-0000-0000-0000-000000000000',
  'FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF',
  '999999999999d',
  '1.2.3-' + 'a'.repeat(57) + '🦊',
  'x'.repeat(8_192),
  '🦊'.repeat(1_000),
];

const NO_TEXTS: readonly (readonly [what: string, ...bytes: number[]])[] = [
  ['a byte alone', 0xff],
  ['an overlong NUL', 0x61, 0xc0, 0x80],
  ['an overlong slash', 0xc0, 0xaf],
  ['a character that breaks off', 0x61, 0xf0, 0x9f, 0xa6],
  ['beyond Unicode', 0xf4, 0x90, 0x80, 0x80],
  ['latin 1', 0x63, 0x61, 0x66, 0xe9],
  ['half a pair in UTF-8', 0xed, 0xa0, 0xbd],
  ['a quote that ends the text', 0x22],
];

const shown = (text: string) => JSON.stringify(text.length > 40 ? `${text.slice(0, 30)}… (${text.length})` : text);

const hostile = (text: string): Hostile => ({
  what: shown(text),
  bytes: bytesOf(text),
  json: Buffer.from(JSON.stringify(text).slice(1, -1)), // half of a pair becomes an escape
});

export const HOSTILE: readonly Hostile[] = [
  ...TEXTS.map(hostile),
  ...NO_TEXTS.map(([what, ...bytes]) => ({ what, bytes: Buffer.from(bytes), json: Buffer.from(bytes) })),
];

/** Where a text may be cut: a character of four bytes on either side of each length that is asked for, and across it. */
export const atLimits = (limits: readonly number[]): Hostile[] =>
  limits.flatMap((most) => ['🦊'.repeat(most), `${'x'.repeat(most - 1)}🦊`, `${'x'.repeat(most)}🦊`].map(hostile));

/** Every byte that is no letter, digit, dot or dash, with a percent sign. */
export const inUrl = ({ bytes }: Hostile): string =>
  Array.from(bytes, (byte) => {
    const char = String.fromCharCode(byte);
    return /[\w.-]/.test(char) ? char : `%${byte.toString(16).padStart(2, '0')}`;
  }).join('');

/** The value of a header; undefined where HTTP has no such header. */
export function inHeader({ bytes }: Hostile): string | undefined {
  const text = bytes.toString('latin1');
  return /^[\t\x20-\x7e\x80-\xff]*$/.test(text) && bytes.length <= 4_096 ? text : undefined;
}
