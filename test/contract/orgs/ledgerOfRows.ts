/** Every row of the database, to show that nothing of one organisation has moved. */
import { withAdmin } from '../../../dev/postgres.ts';

/** Table and row, as JSON text. */
export type Rows = ReadonlySet<string>;

/** Places of followers and of the sequencer move with every fact, whoever wrote it. */
const MOVES = /^store\.(sequencer|followers|checkpoints)$|\.checkpoint$/;

/** @param url of a superuser */
export async function everyRow(url: string): Promise<Rows> {
  const found = new Set<string>();
  await withAdmin(url, async (admin) => {
    const tables = await admin.query<{ name: string }>(
      `SELECT format('%s.%s', table_schema, table_name) AS name FROM information_schema.tables
        WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema') ORDER BY 1`,
    );
    for (const { name } of tables.rows.filter((table) => !MOVES.test(table.name))) {
      // When a key was used last says nothing of what it did.
      const { rows } = await admin.query<{ row: string }>(
        `SELECT (to_jsonb(r) - 'last_used_at')::text AS row FROM ${name} r`,
      );
      for (const { row } of rows) found.add(`${name} ${row}`);
    }
  });
  return found;
}
