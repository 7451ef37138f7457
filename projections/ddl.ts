/** The schema of a read model in Postgres: made by the app's role, thrown away and made again at will. */
import { codeOf, type Client } from '../store/connect.ts';
import type { Logger } from '../store/leader.ts';
import { tablesOf, type Projection, type TableDef } from './table.ts';

const MAX_NAME = 63;
export const quote = (name: string) => `"${name.replaceAll('"', '""')}"`;

/** @param trigrams schema of the extension pg_trgm */
function tableDdl(schema: string, table: TableDef, trigrams: string): string[] {
  const full = `${quote(schema)}.${quote(table.name)}`;
  const columns = Object.entries(table.columns).map(([name, type]) => `${quote(name)} ${type}`);
  const index = (columnNames: readonly string[], rest: string) =>
    `CREATE INDEX ON ${full} (${[...columnNames.map(quote), rest].join(', ')})`;
  if (table.kind === 'facts') {
    return [
      `CREATE TABLE ${full} (log_index bigint PRIMARY KEY, ${columns.join(', ')})`,
      ...table.indexes.map((names) => index(names, 'log_index')),
    ];
  }
  const key = table.key.map(quote).join(', ');
  return [
    `CREATE TABLE ${full} (${columns.join(', ')}, valid_from bigint NOT NULL, valid_to bigint CHECK (valid_to > valid_from),
       PRIMARY KEY (${key}, valid_from))`,
    `CREATE UNIQUE INDEX ON ${full} (${key}) WHERE valid_to IS NULL`,
    // Who follows a table asks for what changed since; who lists it filters validity.
    `CREATE INDEX ON ${full} (valid_from)`,
    ...table.indexes.map((names) => index(names, 'valid_from')),
    ...table.current.map((names) => `CREATE INDEX ON ${full} (${names.map(quote).join(', ')}) WHERE valid_to IS NULL`),
    // A list as of a place is the rows that hold now and those that ended since.
    ...[...new Set(table.current.map(([first]) => first!))].map(
      (first) => `CREATE INDEX ON ${full} (${quote(first)}, valid_to) WHERE valid_to IS NOT NULL`,
    ),
    ...table.searched.map(
      (name) =>
        `CREATE INDEX ON ${full} USING gin (${quote(name)} ${quote(trigrams)}.gin_trgm_ops) WITH (fastupdate = off) WHERE valid_to IS NULL`,
    ),
  ];
}

/**
 * `build` names one filling of the schema: a rebuild that swaps itself in brings its own, so that a runner which read the old
 * one cannot write into the new one.
 */
const checkpointDdl = (schema: string) => [
  `CREATE TABLE ${quote(schema)}.checkpoint (one boolean PRIMARY KEY DEFAULT true CHECK (one),
     build uuid NOT NULL DEFAULT gen_random_uuid(), log_index bigint NOT NULL DEFAULT -1 CHECK (log_index >= -1),
     stopped_at bigint, stopped_why text)`,
  `INSERT INTO ${quote(schema)}.checkpoint DEFAULT VALUES`,
];

export async function schemaExists(client: Client, schema: string): Promise<boolean> {
  const { rows } = await client.query<{ found: boolean }>('SELECT to_regclass($1) IS NOT NULL AS found', [
    `${quote(schema)}.checkpoint`,
  ]);
  return rows[0]!.found;
}

/** Migration 0080 makes the extension; an installation may have had it before, in a schema of its own. */
async function schemaOfTrigrams(client: Client): Promise<string> {
  const { rows } = await client.query<{ schema: string }>(
    `SELECT n.nspname AS schema FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pg_trgm'`,
  );
  if (rows[0]) return rows[0].schema;
  throw new Error('the extension pg_trgm is missing; run the migrations');
}

/**
 * Makes the schema with empty tables and a checkpoint before the first fact, all or nothing, if it is not there. Only the
 * projection's leader calls it.
 */
export async function createSchema(client: Client, schema: string, projection: Projection): Promise<void> {
  if (schema.length > MAX_NAME) throw new Error(`schema name ${schema} is longer than ${MAX_NAME} characters`);
  if (await schemaExists(client, schema)) return;
  const trigrams = await schemaOfTrigrams(client);
  const tables = tablesOf(projection).flatMap((table) => tableDdl(schema, table, trigrams));
  // One simple query is one transaction.
  await client.query([`CREATE SCHEMA ${quote(schema)}`, ...checkpointDdl(schema), ...tables].join(';\n'));
}

/** Drops a schema that nobody reads any more. @throws 55P03 if a reader keeps it longer than the lock time-out */
export async function dropSchema(client: Client, schema: string): Promise<void> {
  await client.query(`DROP SCHEMA IF EXISTS ${quote(schema)} CASCADE`);
}

const DROP_TRIES = 5;

/** As {@link dropSchema}. Readers end within moments; where one stays longer, the schema stays for the next who drops. */
export async function dropSchemaUnread(client: Client, schema: string, logger: Logger): Promise<void> {
  for (let attempt = 1; attempt <= DROP_TRIES; attempt += 1) {
    try {
      await dropSchema(client, schema);
      return;
    } catch (error) {
      if (codeOf(error) !== '55P03') throw error;
    }
  }
  logger.warn({ schema }, 'an old read model is still read; it is dropped another time');
}
