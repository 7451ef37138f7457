/** What runs a query: a pool, or the transaction around an append. */
import type { Client, Pool, PoolClient } from './connect.ts';

/**
 * A query with positional parameters. In an {@link AppendTransaction} a query before `append` must take no
 * transaction id: plain reads and advisory locks only. A row lock, temp table, `nextval` or savepoint write makes `append` throw.
 */
export interface Queryable {
  query<R extends Record<string, unknown> = Record<string, unknown>>(
    sql: string,
    values?: readonly unknown[],
  ): Promise<{ readonly rows: R[]; readonly rowCount: number }>;
}

/** Of a pool: each query on any free connection, in autocommit. The caller keeps what it gives, and ends it. */
export function queryableOf(on: Pool | PoolClient | Client): Queryable {
  return {
    async query<R extends Record<string, unknown>>(sql: string, values?: readonly unknown[]) {
      const { rows, rowCount } = await on.query<R>(sql, values && [...values]);
      return { rows, rowCount: rowCount ?? rows.length };
    },
  };
}
