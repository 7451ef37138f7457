/**
 * One table of a live read model beside what the log says of it, page by page. A row is compared once, at the fact with which it begins;
 * its end is compared at the fact that ends it. What is kept are the rows that the projection holds, and what is wrong.
 */
import { printable } from '../../domain/hash/soundJson.ts';
import type { Difference } from '../../projections/compare.ts';
import type { LiveRow } from '../../projections/liveRows.ts';
import type { Row, Writes } from '../../projections/rows.ts';
import { keyObject } from '../../projections/storage.ts';
import type { KeyValue, TableDef } from '../../projections/table.ts';

/** Whether a value of a projection is stored as `stored`: what Postgres text cannot hold is stored as U+FFFD. */
function isStoredAs(value: unknown, stored: unknown): boolean {
  if (value === stored) return true;
  if (typeof value === 'string') return typeof stored === 'string' && printable(value) === stored;
  if (value === undefined || (typeof value === 'number' && !Number.isFinite(value))) return stored === null;
  if (typeof value !== 'object' || value === null || typeof stored !== 'object' || stored === null) return false;
  if (Array.isArray(value) || Array.isArray(stored))
    return (
      Array.isArray(value) &&
      Array.isArray(stored) &&
      value.length === stored.length &&
      value.every((one, i) => isStoredAs(one, (stored as unknown[])[i]))
    );
  const members = Object.entries(value).filter(([, one]) => one !== undefined);
  const held = stored as Row; // JSON of a column
  return (
    members.length === Object.keys(held).length &&
    members.every(([name, one]) => Object.hasOwn(held, printable(name)) && isStoredAs(one, held[printable(name)]))
  );
}

/** The end of a row that holds, as the live table says; `undefined`: it is known to be wrong, and said. */
interface Held {
  readonly from: number;
  readonly to: number | null | undefined;
}

/** What the log says where the live row is known to be wrong. */
interface Correction {
  readonly row: Row | undefined;
}

export interface LiveTable {
  /** Where there is one, a projection goes on from that, and not from what is stored. */
  corrected(key: readonly KeyValue[]): Correction | undefined;
  /** A live row that the projection took into its memory. */
  hold(key: readonly KeyValue[], live: LiveRow | undefined): void;
  /** The projection has dropped what it held. */
  forget(): void;
  /** @param live all rows that begin in the page, which ends at `upTo` */
  compare(writes: Writes | undefined, live: readonly LiveRow[], upTo: number): void;
  /** @param stored how many live rows end, by number of the span */
  end(stored: ReadonlyMap<number, number>): void;
}

const NONE: Writes = { closes: [], inserts: [] };

/** @param span facts by which ends are counted; a row that ends without a fact is known by its span only */
export function checkLiveTable(table: TableDef, span: number, report: (difference: Difference) => void): LiveTable {
  const held = new Map<string, Held>();
  const wrong = new Map<string, Correction>();
  const ends = new Map<number, number>();
  const isHistory = table.kind === 'history';
  const columns = Object.keys(table.columns);
  let hasDifference = false;

  const textOf = (key: readonly unknown[]) => JSON.stringify(key);
  const keyOf = (row: Row) => table.key.map((name) => row[name] as KeyValue); // safe: key columns are text or bigint
  function differ(key: readonly KeyValue[], found: Omit<Difference, 'table' | 'key'>): void {
    hasDifference = true;
    const shown = isHistory ? keyObject(table, key) : { log_index: found.index };
    report({ table: table.name, key: shown, ...found });
  }
  function countEnd(at: number): void {
    const n = Math.floor(at / span);
    ends.set(n, (ends.get(n) ?? 0) + 1);
  }
  function keep(text: string, row: Held, correction: Correction | undefined): void {
    held.set(text, row);
    if (correction) wrong.set(text, correction);
    else wrong.delete(text);
  }

  /** @returns whether the two are one row, apart from their ends */
  function isSame(row: Row, key: readonly KeyValue[], from: number, live: LiveRow | undefined): boolean {
    if (!live) {
      differ(key, { column: null, index: from, expected: row, actual: null });
      return false;
    }
    const column = columns.find((name) => !isStoredAs(row[name] ?? null, live.row[name]));
    if (column === undefined) return true;
    differ(key, { column, index: from, expected: row[column] ?? null, actual: live.row[column] });
    return false;
  }

  /** @param at the fact that ends the row; null: it holds at `upTo` */
  function endsAt({ from, to }: Held, key: readonly KeyValue[], at: number | null, upTo: number): boolean {
    if (to === undefined || to === at || (at === null && to! > upTo)) return true;
    differ(key, { column: 'valid_to', index: from, expected: at, actual: to });
    return false;
  }

  return {
    corrected: (key) => wrong.get(textOf(key)),
    hold(key, live) {
      if (live) held.set(textOf(key), live);
    },
    forget: () => held.clear(),
    compare(writes = NONE, live, upTo) {
      const begun = new Map(live.map((one) => [textOf([one.from, ...keyOf(one.row)]), one]));
      for (const { key, to } of writes.closes) {
        const text = textOf(key);
        const row = held.get(text);
        if (row && !endsAt(row, key, to, upTo)) wrong.set(text, { row: undefined });
        else wrong.delete(text);
        held.delete(text);
        countEnd(to);
      }
      for (const { row, from, to } of writes.inserts) {
        const key = keyOf(row);
        const place = textOf([from, ...key]);
        const stored = begun.get(place);
        begun.delete(place);
        const isRight = isSame(row, key, from, stored) && (!isHistory || endsAt(stored!, key, to, upTo));
        if (to !== null) countEnd(to);
        else if (isHistory)
          keep(textOf(key), isRight ? stored! : { from, to: undefined }, isRight ? undefined : { row });
      }
      for (const { row, from } of begun.values())
        differ(keyOf(row), { column: null, index: from, expected: null, actual: row });
    },
    end(stored) {
      if (hasDifference) return;
      for (const n of new Set([...stored.keys(), ...ends.keys()])) {
        const [expected, actual] = [ends.get(n) ?? 0, stored.get(n) ?? 0];
        if (expected !== actual) differ([], { column: 'valid_to', index: n * span, expected, actual });
      }
    },
  };
}
