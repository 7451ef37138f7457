/**
 * Pure. A checkpoint of the log as text, in the form of C2SP tlog-checkpoint: three lines `origin`, `size`, `base64 root`, each with its
 * line end. Ours have no signatures yet; a text that has some, after an empty line, is read without checking them.
 */
export interface Checkpoint {
  /** Names the log: no spaces, no plus sign. */
  readonly origin: string;
  /** Number of leaves, 0 or more. */
  readonly size: number;
  /** RFC 6962 root of the first `size` leaves, 64 lower-case hex digits. */
  readonly root: string;
}

export type ReadCheckpoint =
  { readonly ok: true; readonly checkpoint: Checkpoint } | { readonly ok: false; readonly why: string };

const ORIGIN = /^[^\s+]{1,300}$/u;
const ROOT = /^[A-Za-z0-9+/]{43}=$/;

export function checkpointText({ origin, size, root }: Checkpoint): string {
  return `${origin}\n${size}\n${base64Of(root)}\n`;
}

/** Reads a checkpoint, also as `edgeml audit checkpoint --json` prints it. Total; `why` says what was expected. */
export function parseCheckpoint(given: string): ReadCheckpoint {
  const text = given.startsWith('{') ? textIn(given) : given;
  const [head = '', ...signatures] = text.replaceAll('\r\n', '\n').split('\n\n');
  const lines = (head.endsWith('\n') ? head.slice(0, -1) : head).split('\n');
  const [origin = '', size = '', root = ''] = lines;
  if (lines.length < 3) return no(`has ${lines.length} lines`);
  // More lines before the signatures are extensions, which the format allows and which we do not make.
  if (!ORIGIN.test(origin)) return no(`the first line is no origin: ${shown(origin)}`);
  if (!/^(0|[1-9]\d{0,15})$/.test(size) || !Number.isSafeInteger(Number(size)))
    return no(`the second line is no size: ${shown(size)}`);
  if (!ROOT.test(root)) return no(`the third line is no base64 of 32 bytes: ${shown(root)}`);
  if (signatures.some((part) => part.split('\n').some((line) => line !== '' && !line.startsWith('— '))))
    return no('what follows the empty line is no signature');
  const hex = hexOf(root);
  if (base64Of(hex) !== root) return no(`the third line is no base64 of 32 bytes: ${shown(root)}`);
  return { ok: true, checkpoint: { origin, size: Number(size), root: hex } };
}

/** Member `text` of a JSON object; empty where there is none. */
function textIn(json: string): string {
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === 'object' && value !== null && 'text' in value && typeof value.text === 'string'
      ? value.text
      : '';
  } catch {
    return '';
  }
}

const EXPECTED = 'expected three lines: origin, size, base64 of the 32 bytes of the root';
const no = (why: string) => ({ ok: false as const, why: `${EXPECTED}; ${why}` });
const shown = (line: string) => JSON.stringify([...line].slice(0, 60).join(''));

const hexOf = (base64: string) =>
  [...atob(base64)].map((char) => char.codePointAt(0)!.toString(16).padStart(2, '0')).join('');
const base64Of = (hex: string) =>
  btoa((hex.match(/../g) ?? []).map((pair) => String.fromCharCode(Number.parseInt(pair, 16))).join(''));
