/** What the in-memory pointer table asks: everything once, then what changed. */
import { sql } from 'kysely';
import type { ReadDb } from '../database.ts';
import { quote } from '../ddl.ts';
import { schemaOf } from '../table.ts';
import { pointers } from './project.ts';
import type { PointerRow } from './schema.ts';

export interface PointerChanges {
  /** Current pointers that changed after `since`. */
  readonly rows: readonly PointerRow[];
  /** Every subject that is set aside (`pointerSubject`), with the log index from which on. */
  readonly setAside: ReadonlyMap<string, number>;
  /** Which filling of the read model this is: a rebuild brings another. */
  readonly build: string;
  /** Checkpoint of the projection, of the same snapshot. */
  readonly position: number;
  /** The database's clock, Unix ms. */
  readonly nowMs: number;
}

interface Joined {
  build: string;
  set_aside: Readonly<Record<string, number>> | null;
  position: number;
  now: Date;
  model_id: string | null;
  epoch: number;
  pointer: PointerRow['pointer'];
}

/**
 * One statement, so rows and position are of one snapshot.
 *
 * @param since log index; -1 reads all of them
 * @returns undefined while nobody has filled the read model
 * @throws the driver's 42P01 where the schema is not there yet
 */
export async function readPointers(db: ReadDb, since: number): Promise<PointerChanges | undefined> {
  const schema = sql.raw(quote(schemaOf(pointers)));
  const { rows } = await sql<Joined>`
    SELECT c.build, c.log_index AS position, clock_timestamp() AS now, s.set_aside, p.model_id, p.epoch, p.pointer
      FROM ${schema}.checkpoint c
     CROSS JOIN LATERAL (SELECT json_object_agg(subject, first) AS set_aside FROM
             (SELECT subject, min(log_index) AS first FROM ${schema}.set_aside GROUP BY subject) one) s
      LEFT JOIN ${schema}.pointers p ON p.valid_to IS NULL AND p.valid_from > ${since}
       AND p.valid_from <= c.log_index`.execute(db);
  const [first] = rows;
  if (!first) return undefined;
  const changed = rows.flatMap(({ model_id, epoch, pointer }) =>
    model_id === null ? [] : [{ model_id, epoch, pointer }],
  );
  const setAside = new Map(Object.entries(first.set_aside ?? {}));
  return { rows: changed, setAside, build: first.build, position: first.position, nowMs: first.now.getTime() };
}
