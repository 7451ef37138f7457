/** Rows of a read model to and from Postgres: one statement per table, whatever the batch. */
import type { Client } from '../store/connect.ts';
import { quote } from './ddl.ts';
import type { BatchRows, Close, Insert, Row } from './rows.ts';
import type { KeyValue, Need, TableDef } from './table.ts';

const fullName = (schema: string, table: TableDef) => `${quote(schema)}.${quote(table.name)}`;
const typed = (table: TableDef, names: readonly string[]) =>
  names.map((n) => `${quote(n)} ${table.columns[n]}`).join(', ');

/** NUL and lone surrogates are legal in a fact's JSON but not in Postgres text; they become U+FFFD, in every build alike. */
const UNSTORABLE = /\\u(0000|[dD][89a-fA-F])/;
function storable(_key: string, value: unknown): unknown {
  return typeof value === 'string' ? value.replace(/\0|\p{Surrogate}/gu, '\ufffd') : value;
}
export function jsonText(value: unknown): string {
  const text = JSON.stringify(value);
  return UNSTORABLE.test(text) ? JSON.stringify(value, storable) : text;
}

/** The stored rows are not what the checkpoint says: somebody else wrote them. */
export class BrokenRows extends Error {}

export const keyObject = (table: TableDef, key: readonly KeyValue[]) =>
  Object.fromEntries(table.key.map((name, i) => [name, key[i]]));

export function byTable(needs: readonly Need[]): ReadonlyMap<TableDef, readonly Need[]> {
  const found = new Map<TableDef, Need[]>();
  for (const one of needs) {
    const list = found.get(one.table);
    if (list) list.push(one);
    else found.set(one.table, [one]);
  }
  return found;
}

/** Reads the current rows of `needs` into `rows`; those that are not there become known to be absent. */
export async function load(client: Client, schema: string, needs: readonly Need[], rows: BatchRows): Promise<void> {
  for (const [table, list] of byTable(needs)) {
    const on = table.key.map((name) => `t.${quote(name)} = k.${quote(name)}`).join(' AND ');
    const answer = await client.query<Row & { valid_from: number }>(
      `SELECT t.* FROM json_to_recordset($1::json) AS k(${typed(table, table.key)})
         JOIN ${fullName(schema, table)} t ON ${on} WHERE t.valid_to IS NULL`,
      [jsonText(list.map((one) => keyObject(table, one.key)))],
    );
    for (const one of list) rows.remember(table, one.key, undefined, -1);
    for (const { valid_from, valid_to: _open, ...row } of answer.rows) {
      // Safe: key columns are text or bigint, which arrive as string or number.
      rows.remember(
        table,
        table.key.map((name) => row[name] as KeyValue),
        row,
        valid_from,
      );
    }
  }
}

/** What a statement changed, and the milliseconds that Postgres itself worked on it: this process may answer late. */
interface Done {
  readonly rows: number;
  readonly ms: number;
}
async function run(client: Client, statement: string, values: readonly unknown[]): Promise<Done> {
  const answer = await client.query<Done>(
    `WITH done AS (${statement} RETURNING 1) SELECT count(*)::int AS rows,
       (1000 * extract(epoch FROM clock_timestamp() - statement_timestamp()))::float8 AS ms FROM done`,
    [...values],
  );
  return answer.rows[0]!;
}

async function close(client: Client, schema: string, table: TableDef, closes: readonly Close[]): Promise<number> {
  const on = table.key.map((name) => `t.${quote(name)} = k.${quote(name)}`).join(' AND ');
  const { rows, ms } = await run(
    client,
    `UPDATE ${fullName(schema, table)} t SET valid_to = k.valid_to
       FROM json_to_recordset($1::json) AS k(${typed(table, table.key)}, valid_to bigint)
      WHERE ${on} AND t.valid_to IS NULL`,
    [jsonText(closes.map(({ key, to }) => ({ ...keyObject(table, key), valid_to: to })))],
  );
  if (rows === closes.length) return ms;
  throw new BrokenRows(`${table.name}: ${rows} of ${closes.length} rows were closed; somebody else wrote them`);
}

async function insert(client: Client, schema: string, table: TableDef, inserts: readonly Insert[]): Promise<number> {
  const names = Object.keys(table.columns);
  const places = table.kind === 'facts' ? ['log_index'] : ['valid_from', 'valid_to'];
  const columns = [...names, ...places].map(quote).join(', ');
  const values = inserts.map(({ row, from, to }) =>
    table.kind === 'facts' ? { ...row, log_index: from } : { ...row, valid_from: from, valid_to: to },
  );
  const { ms } = await run(
    client,
    `INSERT INTO ${fullName(schema, table)} (${columns}) SELECT ${columns}
       FROM json_to_recordset($1::json) AS r(${typed(table, names)}, ${places.map((p) => `${p} bigint`).join(', ')})`,
    [jsonText(values)],
  );
  return ms;
}

/**
 * Writes all that `rows` changed: closes first, since one key has one open row. The caller holds the transaction.
 *
 * @returns milliseconds that Postgres worked
 */
export async function save(client: Client, schema: string, rows: BatchRows): Promise<number> {
  let ms = 0;
  for (const [table, { closes, inserts }] of rows.take()) {
    if (closes.length > 0) ms += await close(client, schema, table, closes);
    if (inserts.length > 0) ms += await insert(client, schema, table, inserts);
  }
  return ms;
}
