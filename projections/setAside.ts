/**
 * Facts that a read model could not apply. Nothing is skipped in silence: each is a row here, in the read model's own schema, and
 * with the first of a subject the later ones of the same subject are set aside too, since they would be applied to a row that
 * misses a fact. The row stays as it last was. A rebuild makes the same rows again, or none, where the cause is gone.
 */
import type { Client, Pool } from '../store/connect.ts';
import { quote } from './ddl.ts';

/** One subject: the first fact that could not be applied, and how many facts of it are missing by now. */
export interface SetAside {
  readonly subject: string;
  /** Log index. */
  readonly first: number;
  readonly type: string;
  readonly why: string;
  readonly facts: number;
}

/** The first `limit` subjects in log order. @throws the driver's 42P01 where the schema is not there */
export async function readSetAside(db: Client | Pool, schema: string, limit: number): Promise<SetAside[]> {
  const { rows } = await db.query<SetAside>(
    `SELECT s.subject, s.first, s.facts, f.type, f.why
       FROM (SELECT subject, min(log_index) AS first, count(*) AS facts FROM ${quote(schema)}.set_aside
              GROUP BY subject ORDER BY 2 LIMIT $1) s
       JOIN ${quote(schema)}.set_aside f ON f.log_index = s.first ORDER BY s.first`,
    [limit],
  );
  return rows;
}

/** Every subject with the log index of its first fact: what a follower needs to know. */
export async function readSubjects(db: Client, schema: string): Promise<Map<string, number>> {
  const { rows } = await db.query<{ subject: string; first: number }>(
    `SELECT subject, min(log_index) AS first FROM ${quote(schema)}.set_aside GROUP BY subject`,
  );
  return new Map(rows.map(({ subject, first }) => [subject, first]));
}

/** @throws the driver's 42P01 where the schema is not there */
export async function countSetAside(db: Client | Pool, schema: string): Promise<number> {
  const { rows } = await db.query<{ n: number }>(`SELECT count(DISTINCT subject) AS n FROM ${quote(schema)}.set_aside`);
  return rows[0]!.n;
}
