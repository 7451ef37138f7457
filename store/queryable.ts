/** A pool as a {@link Queryable}: each query on any free connection, in autocommit. */
import type { Pool } from './connect.ts';
import type { Queryable } from './log/eventStore.ts';

/** The caller keeps the pool and ends it. */
export function queryableOf(pool: Pool): Queryable {
  return {
    async query<R extends Record<string, unknown>>(sql: string, values?: readonly unknown[]) {
      const { rows, rowCount } = await pool.query<R>(sql, values && [...values]);
      return { rows, rowCount: rowCount ?? rows.length };
    },
  };
}
