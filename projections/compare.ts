/** Two fillings of one read model, row by row, as of one place in the log. */
import type { Client } from '../store/connect.ts';
import { quote } from './ddl.ts';
import { tablesOf, type Projection, type TableDef } from './table.ts';

export interface Difference {
  readonly table: string;
  /** Key of the row: column and value; `log_index` in an insert-only table. */
  readonly key: Readonly<Record<string, unknown>>;
  /** First column that differs; null where the row is on one side only. */
  readonly column: string | null;
  /** The fact from which the row holds. */
  readonly index: number;
  readonly expected: unknown;
  readonly actual: unknown;
}

type Pair = { expected: Record<string, unknown> | null; actual: Record<string, unknown> | null; place: number };

/** Rows that hold from a fact in ($1, $2], as they stood at $3: a close that came later was not one yet. */
function span(schema: string, table: TableDef): string {
  const full = `${quote(schema)}.${quote(table.name)}`;
  // As declared: rows compare as such, whatever somebody made of a column.
  const names = Object.entries(table.columns)
    .map(([name, type]) => `${quote(name)}::${type} AS ${quote(name)}`)
    .join(', ');
  if (table.kind === 'facts')
    return `SELECT log_index, ${names} FROM ${full} WHERE log_index > $1 AND log_index <= least($2::bigint, $3::bigint)`;
  return `SELECT valid_from, CASE WHEN valid_to <= $3::bigint THEN valid_to END AS valid_to, ${names}
            FROM ${full} WHERE valid_from > $1 AND valid_from <= least($2::bigint, $3::bigint)`;
}

function firstDifference(table: TableDef, { expected, actual, place }: Pair): Difference {
  const present = expected ?? actual ?? {};
  const key = table.kind === 'facts' ? ['log_index'] : table.key;
  const columns = table.kind === 'facts' ? Object.keys(table.columns) : [...Object.keys(table.columns), 'valid_to'];
  const column =
    expected && actual ? columns.find((c) => JSON.stringify(expected[c]) !== JSON.stringify(actual[c])) : undefined;
  return {
    table: table.name,
    key: Object.fromEntries(key.map((k) => [k, present[k]])),
    column: column ?? null,
    index: place,
    expected: column === undefined ? (expected ?? null) : expected?.[column],
    actual: column === undefined ? (actual ?? null) : actual?.[column],
  };
}

const SPAN = 20_000;

async function compareTable(
  client: Client,
  table: TableDef,
  { expected, actual, at, limit }: Comparison,
): Promise<Difference[]> {
  const found: Difference[] = [];
  const place = table.kind === 'facts' ? 'log_index' : 'valid_from';
  const on = [...table.key, place].map((k) => `e.${quote(k)} = a.${quote(k)}`).join(' AND ');
  for (let from = -1; from < at && found.length < limit; from += SPAN) {
    const { rows } = await client.query<Pair>(
      `SELECT to_jsonb(e) AS expected, to_jsonb(a) AS actual, coalesce(e.${place}, a.${place}) AS place
         FROM (${span(expected, table)}) e FULL JOIN (${span(actual, table)}) a ON ${on}
        WHERE e IS DISTINCT FROM a ORDER BY 3 LIMIT $4`,
      [from, from + SPAN, at, limit],
    );
    for (const pair of rows) found.push(firstDifference(table, pair));
  }
  return found;
}

export interface Comparison {
  /** Schemas. */
  readonly expected: string;
  readonly actual: string;
  /** Log index as of which both are read; both must be at least as far. */
  readonly at: number;
  /** Differences of one table after which it says no more. */
  readonly limit: number;
}

/**
 * What differs, both ways, in log order. Reads only, so it holds the log back for nobody, and goes through the log in spans, so
 * that no statement is long.
 */
export async function compareSchemas(
  client: Client,
  projection: Projection,
  comparison: Comparison,
): Promise<Difference[]> {
  const found: Difference[][] = [];
  for (const table of tablesOf(projection)) found.push(await compareTable(client, table, comparison));
  return found.flat().sort((a, b) => a.index - b.index);
}
