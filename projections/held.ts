/** Pages of a history table as of a log index, at a cost that grows with neither the table nor its past. */
import { sql, type RawBuilder, type SelectQueryBuilder } from 'kysely';
import type { HistoryTable, ReadDb, ReadTables } from './database.ts';

export interface Order {
  /** Columns of the table that are together unique among the rows of one moment. */
  readonly by: readonly string[];
  readonly isFalling?: boolean;
}

/** All of a history table, or a filtered part of it; neither ordered nor limited. */
export type Unordered<R> = SelectQueryBuilder<ReadTables, HistoryTable, R>;

/**
 * The first rows that hold at `at`, in order. They are those that hold now, by the table's `current` indexes, and those that
 * ended after `at`: few, unless `at` is long ago. One statement, since a row moves from the ones to the others.
 */
export function held<R>(query: Unordered<R>, at: number, order: Order, limit: number): RawBuilder<R> {
  const direction = order.isFalling ? 'desc' : 'asc';
  // Safe: every history table has both columns, and `by` names columns of it; Kysely cannot see that through the type parameter.
  let first = query as unknown as SelectQueryBuilder<Record<string, Record<string, unknown>>, string, unknown>;
  for (const column of order.by) first = first.orderBy(column, direction);
  first = first.limit(limit).where('valid_from', '<=', at);
  const now = first.where('valid_to', 'is', null);
  const ended = first.where('valid_to', '>', at);
  const by = sql.join(order.by.map((column) => sql`${sql.ref(column)} ${sql.raw(direction)}`));
  return sql<R>`SELECT * FROM ${now} now UNION ALL SELECT * FROM ${ended} ended ORDER BY ${by} LIMIT ${limit}`;
}

/** The rows of {@link held}. */
export async function heldAt<R>(
  db: ReadDb,
  query: Unordered<R>,
  at: number,
  order: Order,
  limit: number,
): Promise<R[]> {
  return (await held(query, at, order, limit).execute(db)).rows;
}
