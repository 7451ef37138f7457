/** The tables of the read models as Kysely reads them, and validity as a filter. */
import type { ExpressionBuilder, ExpressionWrapper, Kysely, SqlBool } from 'kysely';
import type { ActivityRow, OwnerRow } from './activity/schema.ts';
import type { ListingRow, ModelCountRow, ModelRow } from './catalog/schema.ts';
import type { PointerRow } from './pointers/schema.ts';
import type { JudgementRow, RolloutRow } from './rollouts/schema.ts';
import type { RoundRow, RunRow } from './training/schema.ts';
import type { NewestVersionRow, VersionRow } from './versions/schema.ts';

interface Validity {
  /** Log index of the fact from which the row holds. */
  valid_from: number;
  /** Log index of the fact from which it no longer holds; null: it holds. */
  valid_to: number | null;
}
interface Placed {
  log_index: number;
}

/** Each lives in the schema of its projection: `db.withSchema(schemaOf(catalog))`. */
export interface ReadTables {
  models: ModelRow & Validity;
  listings: ListingRow & Validity;
  model_counts: ModelCountRow & Validity;
  versions: VersionRow & Validity;
  newest_versions: NewestVersionRow & Validity;
  rollouts: RolloutRow & Validity;
  judgements: JudgementRow & Placed;
  runs: RunRow & Validity;
  rounds: RoundRow & Placed;
  pointers: PointerRow & Validity;
  activity: ActivityRow & Placed;
  owners: OwnerRow & Validity;
}
export type ReadDb = Kysely<ReadTables>;

export type HistoryTable =
  'models' | 'listings' | 'model_counts' | 'versions' | 'rollouts' | 'runs' | 'pointers' | 'owners';

/** Rows that hold at log index `at`. Fixed for ever once the projection is that far. */
export const validAt =
  (at: number) =>
  <T extends HistoryTable>(eb: ExpressionBuilder<ReadTables, T>): ExpressionWrapper<ReadTables, T, SqlBool> => {
    // Safe: every history table has both columns; Kysely cannot see that through the type parameter.
    const on = eb as unknown as ExpressionBuilder<{ t: Validity }, 't'>;
    return on.and([on('valid_from', '<=', at), on.or([on('valid_to', 'is', null), on('valid_to', '>', at)])]);
  };
