/** How far a read model is, and which filling of it this is. */
import type { Client, Pool } from '../store/connect.ts';
import { codeOf } from '../store/connect.ts';
import { quote } from './ddl.ts';
import { cutText } from '../domain/text.ts';

export interface Checkpoint {
  readonly build: string;
  /** Index of the last fact that is in the rows; -1 before the first. */
  readonly log_index: number;
  /** The fact that the projection could not apply; null while it runs. */
  readonly stopped_at: number | null;
  readonly stopped_why: string | null;
}

/** No such schema or table. */
export const isMissing = (error: unknown) => ['42P01', '3F000'].includes(codeOf(error) ?? '');

/** Undefined where the schema is not there yet, or is retired by a rebuild. */
export async function readCheckpoint(db: Client | Pool, schema: string): Promise<Checkpoint | undefined> {
  try {
    const { rows } = await db.query<Checkpoint>(
      `SELECT build, log_index, stopped_at, stopped_why FROM ${quote(schema)}.checkpoint`,
    );
    return rows[0];
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** Moves from exactly `seen`; false if another wrote meanwhile. Takes the row's lock until the transaction ends. */
export async function moveCheckpoint(client: Client, schema: string, seen: Checkpoint, to: number): Promise<boolean> {
  const { rowCount } = await client.query(
    `UPDATE ${quote(schema)}.checkpoint SET log_index = $3, stopped_at = NULL, stopped_why = NULL
      WHERE build = $1 AND log_index = $2`,
    [seen.build, seen.log_index, to],
  );
  return rowCount === 1;
}

/** Leaves word, for every process to read, that the projection stands before the fact at `at`. */
export async function recordStop(
  client: Client,
  schema: string,
  seen: Checkpoint,
  at: number,
  why: string,
): Promise<void> {
  await client.query(
    `UPDATE ${quote(schema)}.checkpoint SET stopped_at = $3, stopped_why = $4
      WHERE build = $1 AND log_index = $2 AND (stopped_at, stopped_why) IS DISTINCT FROM ($3::bigint, $4::text)`,
    [seen.build, seen.log_index, at, cutText(why, 2_000)],
  );
}
