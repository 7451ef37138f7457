/** Rows in memory: the current ones by key, and what a batch will write. */
import type { SequencedEvent } from '../domain/events/envelope.ts';
import type { Change, KeyValue, Need, Projection, Rows, TableDef } from './table.ts';

export type Row = Readonly<Record<string, unknown>>;

interface Current {
  readonly row: Row | undefined;
  readonly from: number;
}
/** A row to insert; a history row may be closed already by a later fact of the same batch. */
export interface Insert {
  readonly row: Row;
  readonly from: number;
  to: number | null;
}
export interface Close {
  readonly key: readonly KeyValue[];
  readonly to: number;
}
export interface Writes {
  readonly closes: Close[];
  readonly inserts: Insert[];
}

export interface BatchRows extends Rows {
  /** A row as stored, or undefined: known to be absent. */
  remember(table: TableDef, key: readonly KeyValue[], row: Row | undefined, from: number): void;
  missing(needs: readonly Need[]): Need[];
  /** All or nothing. @throws Error for a row that is not known, or changed twice by one fact (bugs of the projection) */
  apply(changes: readonly Change[], logIndex: number): void;
  /** What was changed since the last call, per table; the current rows stay known. */
  take(): ReadonlyMap<TableDef, Writes>;
  readonly size: number;
}

const textOf = (key: readonly KeyValue[]) => (key.length === 1 ? String(key[0]) : JSON.stringify(key));

function keyOf(change: Exclude<Change, { kind: 'add' }>): readonly KeyValue[] {
  if (change.kind === 'del') return change.key;
  const row = change.row as Row; // safe: rows are flat objects of columns
  return change.table.key.map((column) => row[column] as KeyValue); // safe: key columns are text or bigint
}

/** Nothing known, nothing changed. One owner; not shared between batches that may fail. */
export function createRows(): BatchRows {
  const current = new Map<TableDef, Map<string, Current>>();
  const open = new Map<TableDef, Map<string, Insert>>(); // history rows of this batch that are not closed
  let writes = new Map<TableDef, Writes>();
  let size = 0;

  function under<V>(map: Map<TableDef, Map<string, V>>, table: TableDef): Map<string, V> {
    let inner = map.get(table);
    if (!inner) map.set(table, (inner = new Map()));
    return inner;
  }
  const writesOf = (table: TableDef): Writes => {
    let found = writes.get(table);
    if (!found) writes.set(table, (found = { closes: [], inserts: [] }));
    return found;
  };

  function know(table: TableDef, text: string, value: Current): void {
    const inner = under(current, table);
    if (!inner.has(text)) size += 1;
    inner.set(text, value);
  }

  function check(changes: readonly Change[], logIndex: number): void {
    const seen = new Set<string>();
    for (const one of changes) {
      if (one.kind === 'add') continue;
      const { table } = one;
      const text = textOf(keyOf(one));
      if (!current.get(table)?.has(text))
        throw new Error(`${table.name} ${text} is changed but was not among the needs of the projection`);
      if (changes.length === 1) return;
      const name = JSON.stringify([table.name, text]);
      if (seen.has(name)) throw new Error(`${table.name} ${text} is changed twice by the fact at ${logIndex}`);
      seen.add(name);
    }
  }

  function change(table: TableDef, key: readonly KeyValue[], row: Row | undefined, logIndex: number): void {
    const text = textOf(key);
    const before = current.get(table)?.get(text);
    const opened = under(open, table);
    const mine = opened.get(text);
    if (mine) mine.to = logIndex;
    else if (before?.row) writesOf(table).closes.push({ key, to: logIndex });
    opened.delete(text);
    know(table, text, { row, from: logIndex });
    if (!row) return;
    const insert: Insert = { row, from: logIndex, to: null };
    opened.set(text, insert);
    writesOf(table).inserts.push(insert);
  }

  return {
    get size() {
      return size;
    },
    has: (table, ...key) => current.get(table)?.has(textOf(key)) ?? false,
    get<R extends object>(table: TableDef, ...key: KeyValue[]): R | undefined {
      const found = current.get(table)?.get(textOf(key));
      if (!found) throw new Error(`${table.name} ${textOf(key)} is read but was not among the needs of the projection`);
      return found.row as R | undefined; // safe: only `put` of this table, typed by it, or its own stored rows come here
    },
    remember: (table, key, row, from) => know(table, textOf(key), { row, from }),
    missing: (needs) => needs.filter(({ table, key }) => !current.get(table)?.has(textOf(key))),
    apply(changes, logIndex) {
      check(changes, logIndex);
      // Safe: rows are flat objects of columns.
      for (const one of changes) {
        if (one.kind === 'add') writesOf(one.table).inserts.push({ row: one.row as Row, from: logIndex, to: null });
        else change(one.table, keyOf(one), one.kind === 'put' ? (one.row as Row) : undefined, logIndex);
      }
    },
    take() {
      const taken = writes;
      writes = new Map();
      open.clear();
      return taken;
    },
  };
}

/**
 * One fact through a projection, where every row is in memory already: tests, and whoever needs no database. A row that was
 * never put is absent. Changes nothing if the projection throws.
 */
export function projectInMemory(projection: Projection, event: SequencedEvent, rows: BatchRows): readonly Change[] {
  for (;;) {
    const missing = rows.missing(projection.needs(event, rows));
    if (missing.length === 0) break;
    for (const { table, key } of missing) rows.remember(table, key, undefined, -1);
  }
  const changes = projection.project(event, rows);
  rows.apply(changes, event.logIndex);
  return changes;
}
