/** Data to stdout, all else to stderr. Text for people, JSON for programs; colour and motion only on a terminal. */
import { SingleBar } from 'cli-progress';
import type { Progress } from '../sdk/http.ts';

export type Format = 'text' | 'json' | 'jsonl' | 'name';

export interface Output {
  readonly format: Format;
  /** One resource: `text` lines for people, the value for programs, `name` alone for scripts. */
  show(value: unknown, text: () => string[], name: string): void;
  list(items: readonly unknown[], table: () => string[], name: (item: never) => string): void;
  /** For people, on stderr. */
  note(line: string): void;
  /**
   * A bar on a terminal, one line per change off it. Call the result's `done()` at the end.
   *
   * @param everyMs of lines that differ in figures alone, one in that time
   */
  progress(title: string, everyMs?: number): { update(p: Progress, detail?: string): void; done(): void };
}

const write = (line: string) => process.stdout.write(`${line}\n`);

export function createOutput(format: Format, options: { readonly progress: boolean }): Output {
  const note = (line: string) => void process.stderr.write(`${line}\n`);
  return {
    format,
    note,
    show: (value, text, name) => {
      if (format === 'text') text().forEach(write);
      else if (format === 'name') write(name);
      else write(JSON.stringify(value, null, format === 'json' ? 2 : undefined));
    },
    list: (items, table, name) => {
      if (format === 'text') table().forEach(write);
      else if (format === 'name')
        items.forEach((item) => write(name(item as never))); // the caller pairs items and name
      else if (format === 'jsonl') items.forEach((item) => write(JSON.stringify(item)));
      else write(JSON.stringify(items, null, 2));
    },
    progress: (title, everyMs = 0) =>
      options.progress && process.stderr.isTTY ? bar(title) : lines(title, note, everyMs),
  };
}

function bar(title: string) {
  const single = new SingleBar({
    format: `${title} {bar} {value}/{total} {detail}`,
    stream: process.stderr,
    hideCursor: false, // Ctrl-C would leave the terminal without one
    clearOnComplete: false,
  });
  let started = false;
  return {
    update: (p: Progress, detail = `${p.unit}, ${p.phase}`) => {
      if (!started) single.start(p.total ?? p.done, p.done, { detail });
      started = true;
      if (p.total !== undefined) single.setTotal(p.total);
      single.update(p.done, { detail });
    },
    done: () => {
      if (started) single.stop();
    },
  };
}

function lines(title: string, note: (line: string) => void, everyMs: number) {
  let last = '';
  let about = '';
  let at = 0;
  return {
    update: (p: Progress, detail = '') => {
      const line =
        `${title}: ${p.phase} ${p.done}${p.total === undefined ? '' : `/${p.total}`} ${p.unit} ${detail}`.trimEnd();
      if (line === last) return;
      if (about === p.phase + detail && performance.now() - at < everyMs) return;
      note(line);
      last = line;
      about = p.phase + detail;
      at = performance.now();
    },
    done: () => {},
  };
}

/** Columns padded to their widest cell. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const width = head.map((h, i) => rows.reduce((most, r) => Math.max(most, (r[i] ?? '').length), h.length));
  return [head, ...rows].map((r) =>
    r
      .map((cell, i) => cell.padEnd(width[i]!))
      .join('  ')
      .trimEnd(),
  );
}
