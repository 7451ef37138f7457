/**
 * The rows of a read model that is live, as they stood at a place of the log: for whoever compares them with what the log says. Reads
 * only, one index step a row.
 */
import type { Client } from '../store/connect.ts';
import { quote } from './ddl.ts';
import type { Row } from './rows.ts';
import { byTable, jsonText, keyObject } from './storage.ts';
import type { Need, TableDef } from './table.ts';

/** A row of a history table holds from `valid_from` up to before `valid_to`; one of an insert-only table has its log index. */
export interface LiveRow {
  readonly row: Row;
  readonly from: number;
  /** Null: it holds at the end of what is compared. */
  readonly to: number | null;
}

const full = (schema: string, table: TableDef) => `${quote(schema)}.${quote(table.name)}`;

/** As declared: rows compare as such, whatever somebody made of a column. */
const columnsOf = (table: TableDef) =>
  Object.entries(table.columns).map(([name, type]) => `t.${quote(name)}::${type} AS ${quote(name)}`);

/** Names that no column has. */
type Stored = Row & { readonly '@from': number; readonly '@to': number | null };
const liveRow = ({ '@from': from, '@to': to, ...row }: Stored): LiveRow => ({ row, from, to });

/** Rows that begin with a fact after `after`, up to `upTo`, in log order; closes after `at` are not closes yet. */
export async function rowsBegunIn(
  client: Client,
  schema: string,
  table: TableDef,
  { after, upTo, at }: { readonly after: number; readonly upTo: number; readonly at: number },
): Promise<LiveRow[]> {
  const isHistory = table.kind === 'history';
  const from = isHistory ? 'valid_from' : 'log_index';
  const to = isHistory ? 'CASE WHEN t.valid_to <= $3::bigint THEN t.valid_to END' : '$3::bigint * NULL';
  const { rows } = await client.query<Stored>(
    `SELECT t.${from} AS "@from", ${to} AS "@to", ${columnsOf(table).join(', ')} FROM ${full(schema, table)} t
      WHERE t.${from} > $1 AND t.${from} <= $2 ORDER BY t.${from}`,
    [after, upTo, at],
  );
  return rows.map(liveRow);
}

/** @returns for each need the row that held at `place`, if there was one; its end as in {@link rowsBegunIn} */
export async function rowsAt(
  client: Client,
  schema: string,
  needs: readonly Need[],
  { place, at }: { readonly place: number; readonly at: number },
): Promise<(readonly [Need, LiveRow | undefined])[]> {
  const found: (readonly [Need, LiveRow | undefined])[] = [];
  for (const [table, list] of byTable(needs)) {
    const typed = table.key.map((name) => `${quote(name)} ${table.columns[name]}`).join(', ');
    const on = table.key.map((name) => `t.${quote(name)} = k.${quote(name)}`).join(' AND ');
    const { rows } = await client.query<Stored & { readonly '@n': number }>(
      `SELECT k."@n", t.valid_from AS "@from", CASE WHEN t.valid_to <= $3::bigint THEN t.valid_to END AS "@to", ${columnsOf(table).join(', ')}
         FROM json_to_recordset($1::json) AS k("@n" int, ${typed})
        CROSS JOIN LATERAL (SELECT * FROM ${full(schema, table)} t WHERE ${on} AND t.valid_from <= $2
                             ORDER BY t.valid_from DESC LIMIT 1) t
        WHERE t.valid_to IS NULL OR t.valid_to > $2`,
      [jsonText(list.map(({ key }, n) => ({ '@n': n, ...keyObject(table, key) }))), place, at],
    );
    const byNeed = new Map(rows.map(({ '@n': n, ...row }) => [n, liveRow(row)]));
    list.forEach((one, n) => found.push([one, byNeed.get(n)]));
  }
  return found;
}

/** Facts whose rows one statement looks at, so that none is long. */
const ROWS_BEGUN = 100_000;

/** How many rows end with a fact up to `at`, by number of the span of `span` facts. */
export async function endsBySpan(
  client: Client,
  schema: string,
  table: TableDef,
  { at, span }: { readonly at: number; readonly span: number },
): Promise<ReadonlyMap<number, number>> {
  if (table.kind === 'facts') return new Map();
  const found = new Map<number, number>();
  for (let from = -1; from < at; from += ROWS_BEGUN) {
    const { rows } = await client.query<{ n: number; ends: number }>(
      `SELECT valid_to / $2::bigint AS n, count(*) AS ends FROM ${full(schema, table)}
        WHERE valid_from > $3 AND valid_from <= $4 AND valid_to <= $1 GROUP BY 1`,
      [at, span, from < 0 ? Number.MIN_SAFE_INTEGER : from, Math.min(from + ROWS_BEGUN, at)],
    );
    for (const { n, ends } of rows) found.set(n, (found.get(n) ?? 0) + ends);
  }
  return found;
}
