/**
 * Which rollouts a model has. Reads only; concurrent; the newest first. It lags behind nothing: the rows are the facts
 * themselves. Callers fold the stream they pick, and hold the model's lock where two answers must not both be used.
 */
import type { LogIndex, ModelId, Semver } from '../../domain/brands.ts';
import { versionStream } from '../../domain/events/streams.ts';
import type { Queryable } from '../queryable.ts';
import { namedSql } from '../sql/namedSql.ts';

export interface FoundRollout {
  readonly rolloutId: number;
  readonly version: Semver;
  readonly phase: 'pending' | 'live' | 'completed' | 'over';
}

export interface RolloutFinder {
  /** Rollouts of a model, newest first. */
  ofModel(modelId: ModelId, on?: Queryable): Promise<FoundRollout[]>;
  /** Versions of the model that were rolled back, up to a log index if given. */
  rolledBack(modelId: ModelId, upTo?: LogIndex): Promise<ReadonlySet<string>>;
  /**
   * Lets one start of the model decide at a time, until the transaction ends. Taken before any stream's lock, everywhere; its
   * keys (two integers) are apart from those of streams (one).
   */
  lockStarts(tx: Queryable, modelId: ModelId): Promise<void>;
  /** Draws a rollout id, in a statement of its own. */
  nextId(): Promise<number>;
}

const ROLLOUTS = namedSql('rollouts_of_model');
const ROLLED_BACK = namedSql('rolled_back_versions');

function phaseOf(marks: readonly string[]): FoundRollout['phase'] {
  if (marks.includes('RolloutAborted') || marks.includes('RolloutRolledBack')) return 'over';
  if (marks.includes('RolloutCompleted')) return 'completed';
  return marks.includes('RolloutStarted') ? 'live' : 'pending';
}

/** @param pool where reads outside a transaction go */
export function createRolloutFinder(pool: Queryable): RolloutFinder {
  return {
    async ofModel(modelId, on = pool) {
      const { rows } = await on.query<{ rollout_id: number; version: Semver; marks: string[] }>(ROLLOUTS, [modelId]);
      return rows.map((r) => ({ rolloutId: r.rollout_id, version: r.version, phase: phaseOf(r.marks) }));
    },
    async rolledBack(modelId, upTo) {
      // A version's stream is that of its model, an @ and the version.
      const [ofModel] = versionStream(modelId, '').split('@');
      const { rows } = await pool.query<{ version: Semver }>(ROLLED_BACK, [ofModel, upTo ?? null]);
      return new Set(rows.map((row) => row.version));
    },
    async lockStarts(tx, modelId) {
      await tx.query(`SELECT pg_advisory_xact_lock(hashtext('edgeml starts'), hashtext($1))`, [modelId]);
    },
    async nextId() {
      const { rows } = await pool.query<{ id: number }>(`SELECT nextval('store.rollout_ids') AS id`);
      return rows[0]!.id;
    },
  };
}
