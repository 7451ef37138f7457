/** Pure. How a read model declares its tables, and what a projection asks for and answers. */
import type { SequencedEvent } from '../domain/events/envelope.ts';

export type ColumnType = 'text' | 'bigint' | 'float8' | 'boolean' | 'jsonb';
export type KeyValue = string | number;

/**
 * `history`: one row per key and span of the log, `[valid_from, valid_to)`; `valid_to` null is current. `facts`: insert-only,
 * one row per event, keyed by its `log_index`. The runner keeps these three columns; a table declares the others.
 */
export interface TableDef {
  readonly name: string;
  readonly kind: 'history' | 'facts';
  /** Empty for `facts`. */
  readonly key: readonly string[];
  readonly columns: Readonly<Record<string, ColumnType>>;
  readonly indexes: readonly (readonly string[])[];
  /** Of a history table: indexes of the rows that hold now, for lists (`held.ts`). */
  readonly current: readonly (readonly string[])[];
  /** Columns of a history table that are searched for a part of their text, in the rows that hold now. */
  readonly searched: readonly string[];
}

/** A table whose rows are `R`. Instants are RFC 3339 text, UTC, milliseconds: they sort as they are. */
export interface Table<R extends object> extends TableDef {
  /** Carries the type only; never set. */
  readonly row?: R;
}

type ColumnsOf<R> = Readonly<Record<keyof R & string, ColumnType>>;
type Indexes<R> = readonly (readonly (keyof R & string)[])[];

/** A table that keeps every state of each key. */
export function historyTable<R extends object>(
  name: string,
  def: {
    readonly key: readonly (keyof R & string)[];
    readonly columns: ColumnsOf<R>;
    readonly indexes?: Indexes<R>;
    readonly current?: Indexes<R>;
    readonly searched?: readonly (keyof R & string)[];
  },
): Table<R> {
  const { key, columns, indexes = [], current = [], searched = [] } = def;
  return { name, kind: 'history', key, columns, indexes, current, searched };
}

/** A table that gains at most one row per event: what happens too often to copy a whole row each time. */
export function factsTable<R extends object>(
  name: string,
  def: { readonly columns: ColumnsOf<R>; readonly indexes?: Indexes<R> },
): Table<R> {
  const { columns, indexes = [] } = def;
  return { name, kind: 'facts', key: [], columns, indexes, current: [], searched: [] };
}

/** A fact that was not applied (`setAside.ts`). */
export interface SetAsideRow {
  /** What stands or falls together, as `Projection.subjectOf` names it: a stream, mostly. */
  subject: string;
  type: string;
  why: string;
}

/** In the schema of every read model, beside its own tables. */
export const setAsideRows = factsTable<SetAsideRow>('set_aside', {
  columns: { subject: 'text', type: 'text', why: 'text' },
  indexes: [['subject']],
});
export const tablesOf = ({ tables }: { readonly tables: readonly TableDef[] }): readonly TableDef[] => [
  ...tables,
  setAsideRows,
];

/** The current rows of history tables, as of the fact before the one at hand. */
export interface Rows {
  /** @throws Error for a row that `needs` did not name (a bug of the projection) */
  get<R extends object>(table: Table<R>, ...key: KeyValue[]): R | undefined;
  has(table: TableDef, ...key: KeyValue[]): boolean;
}

export interface Need {
  readonly table: TableDef;
  readonly key: readonly KeyValue[];
}
export const need = (table: TableDef, ...key: KeyValue[]): Need => ({ table, key });

export type Change =
  | { readonly kind: 'put'; readonly table: TableDef; readonly row: object }
  | { readonly kind: 'add'; readonly table: TableDef; readonly row: object }
  | { readonly kind: 'del'; readonly table: TableDef; readonly key: readonly KeyValue[] };

/** From this fact on, the row of its key is `row`. */
export const put = <R extends object>(table: Table<R>, row: NoInfer<R>): Change => ({ kind: 'put', table, row });
/** From this fact on, there is no row of that key. */
export const del = (table: TableDef, ...key: KeyValue[]): Change => ({ kind: 'del', table, key });
/** The row of this fact in a `facts` table. */
export const add = <R extends object>(table: Table<R>, row: NoInfer<R>): Change => ({ kind: 'add', table, row });

/** What is known of every fact, also of one that its schema refuses: then `data` is whatever its JSON holds. */
export interface About {
  readonly stream: string;
  readonly version: number;
  readonly type: string;
  readonly data: unknown;
}

/**
 * A read model. Pure; reads no clock; looks at facts and its own rows only, so that a rebuild gives the same rows. A change of
 * what it makes is a new `version`: the schema is `rm_<name>_v<version>`.
 */
export interface Projection {
  readonly name: string;
  readonly version: number;
  /**
   * The oldest version whose rows the lists of this build can read as they are. They are answered from the newest of these that is
   * complete while this version is filled. Absent: this one alone, and the lists say `starting` meanwhile.
   */
  readonly readsFrom?: number;
  readonly tables: readonly TableDef[];
  /** Rows that `project` will read. Asked again, with those loaded, until it names nothing new. */
  needs(event: SequencedEvent, rows: Rows): readonly Need[];
  project(event: SequencedEvent, rows: Rows): readonly Change[];
  /** Rows that `subjectOf` will read. */
  subjectNeeds?(about: About): readonly Need[];
  /**
   * What is set aside with a fact that cannot be applied: all facts of one subject stand or fall together. Undefined: the fact is
   * none of this read model's business. Every stream is a subject of its own unless this says otherwise.
   */
  subjectOf?(about: About, rows: Rows): string | undefined;
}

/** Where a projection of this build keeps its tables. */
export const schemaOf = (projection: Pick<Projection, 'name' | 'version'>) =>
  `rm_${projection.name}_v${projection.version}`;

/** Where a new version, or a rebuild, is filled until it is complete: nobody reads lists from it. */
export const nextOf = (schema: string) => `${schema}__next`;

/** Schemas that answer the lists of this build, newest first. A schema has its name only once it is complete. */
export const readableSchemas = ({ name, version, readsFrom = version }: Projection): readonly string[] =>
  Array.from({ length: version - readsFrom + 1 }, (_, i) => schemaOf({ name, version: version - i }));
