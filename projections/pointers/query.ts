/** What the in-memory pointer table asks: everything once, then what changed. */
import { sql } from 'kysely';
import type { Pointer } from '../../domain/rollout/pointer.ts';
import type { Remembered, RolloutOf, RolloutOfId } from '../../domain/rollout/pointerMemory.ts';
import type { ReadDb } from '../database.ts';
import { quote } from '../ddl.ts';
import { schemaOf } from '../table.ts';
import { pointers } from './project.ts';

export interface PointerChanges {
  /** Current pointers that changed after `since`, and what their memory has learned since. */
  readonly pointers: readonly Pointer[];
  readonly news: readonly Remembered[];
  /** Every subject that is set aside (`pointerSubject`), with the log index from which on. */
  readonly setAside: ReadonlyMap<string, number>;
  /** Which filling of the read model this is: a rebuild brings another. */
  readonly build: string;
  /** Checkpoint of the projection, of the same snapshot. */
  readonly position: number;
  /** The database's clock, Unix ms. */
  readonly nowMs: number;
}

interface Read {
  kind: 'checkpoint' | 'set_aside' | 'pointer' | 'rollout' | 'mark';
  body: unknown;
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
  const changed = sql`t.valid_to IS NULL AND t.valid_from > ${since}`;
  const { rows } = await sql<Read>`
    SELECT 'checkpoint' AS kind, jsonb_build_object('build', build, 'position', log_index,
                                                    'now', extract(epoch FROM clock_timestamp()) * 1000) AS body
      FROM ${schema}.checkpoint
     UNION ALL
    SELECT 'set_aside', jsonb_build_array(subject, min(log_index)) FROM ${schema}.set_aside GROUP BY subject
     UNION ALL
    SELECT 'pointer', t.pointer FROM ${schema}.pointers t WHERE ${changed}
     UNION ALL
    SELECT 'rollout', jsonb_build_object('rollout_id', t.rollout_id, 'model_id', t.model_id, 'version', t.version)
      FROM ${schema}.rollouts_of t WHERE ${changed} AND NOT t.has_ended
     UNION ALL
    SELECT 'mark', jsonb_build_object('model_id', t.model_id, 'version', t.version)
      FROM ${schema}.marks t WHERE ${changed}`.execute(db);
  // Safe: each kind is built above.
  const of = <T>(kind: Read['kind']) => rows.flatMap((row) => (row.kind === kind ? [row.body as T] : []));
  const [checkpoint] = of<{ build: string; position: number; now: number }>('checkpoint');
  if (!checkpoint) return undefined;
  return {
    pointers: of<Pointer>('pointer'),
    news: [
      ...of<RolloutOfId>('rollout').map((created) => ({ created })),
      ...of<RolloutOf>('mark').map((rolledBack) => ({ rolledBack })),
    ],
    setAside: new Map(of<[string, number]>('set_aside')),
    build: checkpoint.build,
    position: checkpoint.position,
    nowMs: Math.round(checkpoint.now),
  };
}
