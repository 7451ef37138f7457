/**
 * Pure. The JSON of a safetensors header, read as the one shape it may have. `JSON.parse` would forgive a name given twice;
 * here it is a fault. No recursion, so nesting cannot exhaust the stack.
 */

export interface RawEntry {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

export interface RawHeader {
  readonly metadata: ReadonlyMap<string, string>;
  readonly entries: readonly RawEntry[];
}

const COUNT = /0|[1-9][0-9]{0,15}/y;
const SPACE = /[ \t\n\r]*/y;
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/;
const LONE_SURROGATE = /\p{Surrogate}/u;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** What a JSON string literal says, or undefined for a bad escape. */
function unescaped(literal: string): string | undefined {
  try {
    const value: unknown = JSON.parse(literal);
    return typeof value === 'string' ? value : undefined;
  } catch {
    return undefined;
  }
}

/** A name as people are told it: one line, not megabytes of it. */
const shown = (name: string) =>
  JSON.stringify(name.length > 60 ? `${name.slice(0, 60)}…` : name).replace(
    new RegExp(CONTROL, 'g'),
    (symbol) => `\\u${symbol.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );

/**
 * What is wrong with a tensor's name, for readers and writers alike. Names go into facts, logs and terminals, and ONNX takes an empty
 * one for a missing input.
 *
 * @param most UTF-16 units
 */
export function nameProblem(name: string, most: number): string | undefined {
  if (name === '') return 'a tensor without a name';
  if (name.length > most) return `the tensor name ${shown(name)} has more than ${most} characters`;
  if (CONTROL.test(name)) return `the tensor name ${shown(name)} holds a control character`;
  if (LONE_SURROGATE.test(name)) return `the tensor name ${shown(name)} is not Unicode text`;
  return undefined;
}

/** Why the text is no header, thrown and caught within this file's one entry. */
class Malformed extends Error {}

class Scanner {
  readonly #text: string;
  #at = 0;
  constructor(text: string) {
    this.#text = text;
  }
  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    if (found !== undefined) this.#at += found.length;
    return found;
  }
  /** Takes `symbol` if it comes next. */
  takes(symbol: string): boolean {
    this.#match(SPACE);
    if (this.#text[this.#at] !== symbol) return false;
    this.#at += 1;
    return true;
  }
  expect(symbol: string): void {
    if (!this.takes(symbol)) throw new Malformed(`expected ${symbol} at character ${this.#at} of the header`);
  }
  /** Found by a loop, not by one pattern: a string of megabytes would exhaust the stack of a pattern. */
  string(): string {
    this.expect('"');
    const start = this.#at - 1;
    for (let unit = this.#text.charCodeAt(this.#at); unit !== QUOTE; unit = this.#text.charCodeAt(this.#at)) {
      if (!(unit >= 0x20)) throw new Malformed(`a string that does not end at character ${this.#at} of the header`);
      this.#at += unit === BACKSLASH ? 2 : 1;
    }
    this.#at += 1;
    const value = unescaped(this.#text.slice(start, this.#at));
    if (value === undefined || LONE_SURROGATE.test(value))
      throw new Malformed(`a string that is not Unicode text before character ${this.#at} of the header`);
    return value;
  }
  count(): number {
    this.#match(SPACE);
    const value = Number(this.#match(COUNT) ?? NaN);
    if (!Number.isSafeInteger(value))
      throw new Malformed(`expected a whole number at character ${this.#at} of the header`);
    return value;
  }
  counts(most: number): number[] {
    const values: number[] = [];
    this.expect('[');
    if (this.takes(']')) return values;
    do {
      if (values.length === most)
        throw new Malformed(`more than ${most} numbers at character ${this.#at} of the header`);
      values.push(this.count());
    } while (this.takes(','));
    this.expect(']');
    return values;
  }
  /** Calls `member` for each key of an object; a key given twice is a fault. */
  object(member: (key: string) => void): void {
    const keys = new Set<string>();
    this.expect('{');
    if (this.takes('}')) return;
    do {
      const key = this.string();
      if (keys.has(key)) throw new Malformed(`${shown(key)} is given twice in the header`);
      keys.add(key);
      this.expect(':');
      member(key);
    } while (this.takes(','));
    this.expect('}');
  }
  end(): void {
    this.#match(SPACE);
    if (this.#at !== this.#text.length) throw new Malformed(`text after the header's end, at character ${this.#at}`);
  }
}

function entry(scan: Scanner, name: string, maxRank: number): RawEntry {
  let dtype: string | undefined;
  let shape: number[] | undefined;
  let offsets: number[] | undefined;
  scan.object((key) => {
    if (key === 'dtype') dtype = scan.string();
    else if (key === 'shape') shape = scan.counts(maxRank);
    else if (key === 'data_offsets') offsets = scan.counts(2);
    else throw new Malformed(`tensor ${shown(name)} has an unknown member ${shown(key)}`);
  });
  const [begin, end] = offsets ?? [];
  if (dtype === undefined || shape === undefined || begin === undefined || end === undefined)
    throw new Malformed(`tensor ${shown(name)} needs dtype, shape and two data_offsets`);
  return { name, dtype, shape, begin, end };
}

/** The header's members, or one sentence on what is wrong. Never throws. */
export function parseHeaderText(
  text: string,
  limits: { readonly tensors: number; readonly rank: number; readonly name: number },
): RawHeader | { readonly problem: string } {
  const metadata = new Map<string, string>();
  const entries: RawEntry[] = [];
  const scan = new Scanner(text);
  try {
    // The format says so, and older readers of the reference library insist.
    if (!text.startsWith('{')) throw new Malformed('the header must begin with {, expected { at character 0');
    scan.object((name) => {
      if (name === '__metadata__') return scan.object((key) => void metadata.set(key, scan.string()));
      if (entries.length === limits.tensors) throw new Malformed(`more than ${limits.tensors} tensors`);
      const problem = nameProblem(name, limits.name);
      if (problem !== undefined) throw new Malformed(problem);
      entries.push(entry(scan, name, limits.rank));
    });
    scan.end();
  } catch (error) {
    if (error instanceof Malformed) return { problem: error.message };
    throw error;
  }
  return { metadata, entries };
}
