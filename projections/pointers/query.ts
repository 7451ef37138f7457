/** What the pointers in memory ask: how far the read model is, one model's row, and one model's facts beyond it. */
import type { ModelId } from '../../domain/brands.ts';
import type { Pointer } from '../../domain/rollout/pointer.ts';
import { createMemory, type RolloutOf, type RolloutOfId } from '../../domain/rollout/pointerMemory.ts';
import { modelStream } from '../../domain/events/streams.ts';
import type { Pool } from '../../store/connect.ts';
import { namedSql } from '../../store/sql/namedSql.ts';
import { isMissing } from '../checkpoint.ts';
import { quote } from '../ddl.ts';
import type { HeldPointer, TailRow } from '../pointerTail.ts';
import { nextOf, schemaOf } from '../table.ts';
import { pointers } from './project.ts';

export interface PointersCheckpoint {
  /** The database's clock. */
  readonly now: Date;
  /** Of the log; -1 while it is empty. */
  readonly head: number;
  /** Absent while nobody has filled the read model. */
  readonly model?: {
    /** Which filling of the read model this is: a rebuild brings another. */
    readonly build: string;
    /** Checkpoint of the projection. */
    readonly position: number;
    /** The gap in the log before which the projection stands. */
    readonly stoppedAt: number | null;
    /** Subjects (`pointerSubject`) of which a fact after `since` was set aside. */
    readonly setAside: readonly string[];
  };
}

export interface StoredPointer extends HeldPointer {
  /** The row holds every fact up to this log index. */
  readonly position: number;
}

const FACTS = namedSql('pointer_facts');
/** One that is being filled will do: a row of it and the facts after its checkpoint are whole. */
const SCHEMAS = [schemaOf(pointers), nextOf(schemaOf(pointers))].map(quote);

/** The first row; undefined also where no schema is there yet. */
async function firstOf<R extends object>(
  pool: Pool,
  text: (schema: string) => string,
  values: unknown[],
): Promise<R | undefined> {
  for (const schema of SCHEMAS) {
    try {
      const { rows } = await pool.query<R>(text(schema), values);
      if (rows[0]) return rows[0];
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
  }
  return undefined;
}

const CLOCK = 'clock_timestamp() AS now, coalesce((SELECT max(log_index) FROM store.log), -1) AS head';

/** Where the log and the read model are. Costs the same however large they are. */
export async function readPointersCheckpoint(pool: Pool, since: number): Promise<PointersCheckpoint> {
  type Clock = { now: Date; head: number };
  const row = await firstOf<
    Clock & { build: string; position: number; stopped_at: number | null; set_aside: readonly string[] }
  >(
    pool,
    (schema) => `SELECT ${CLOCK}, build, log_index AS position, stopped_at,
            ARRAY(SELECT DISTINCT subject FROM ${schema}.set_aside WHERE log_index > $1::bigint) AS set_aside
       FROM ${schema}.checkpoint`,
    [since],
  );
  if (!row) return (await pool.query<Clock>(`SELECT ${CLOCK}`)).rows[0]!;
  const { now, head, build, position, stopped_at, set_aside } = row;
  return { now, head, model: { build, position, stoppedAt: stopped_at, setAside: set_aside } };
}

/** One model's row and its place, of one snapshot. Undefined while nobody has filled the read model. */
export async function readPointer(pool: Pool, modelId: ModelId): Promise<StoredPointer | undefined> {
  const row = await firstOf<{
    position: number;
    pointer: Pointer | null;
    misses_since: number | null;
    rollouts: readonly RolloutOfId[];
    marks: readonly RolloutOf[];
  }>(
    pool,
    (schema) => `SELECT c.log_index AS position, p.pointer,
            (SELECT min(log_index) FROM ${schema}.set_aside WHERE subject = $2) AS misses_since,
            coalesce((SELECT json_agg(r) FROM (SELECT rollout_id, model_id, version FROM ${schema}.rollouts_of
                       WHERE model_id = $1 AND valid_to IS NULL AND NOT has_ended) r), '[]') AS rollouts,
            coalesce((SELECT json_agg(m) FROM (SELECT model_id, version FROM ${schema}.marks
                       WHERE model_id = $1 AND valid_to IS NULL) m), '[]') AS marks
       FROM ${schema}.checkpoint c LEFT JOIN ${schema}.pointers p ON p.model_id = $1 AND p.valid_to IS NULL`,
    [modelId, modelStream(modelId)],
  );
  if (!row) return undefined;
  const memory = createMemory();
  for (const created of row.rollouts) memory.learn({ created });
  for (const rolledBack of row.marks) memory.learn({ rolledBack });
  const { position, pointer, misses_since } = row;
  return { position, pointer: pointer ?? undefined, missesSince: misses_since ?? undefined, memory };
}

/** The facts after log index `since` that may move the model's pointer, in log order: from its own streams, not from the log. */
export async function readPointerFacts(pool: Pool, modelId: ModelId, since: number): Promise<TailRow[]> {
  return (await pool.query<TailRow>(FACTS, [modelId, since])).rows;
}
