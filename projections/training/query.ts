/** Lists of training runs and the facts of their rounds. */
import type { ModelId } from '../../domain/brands.ts';
import type { OrgId } from '../../domain/org.ts';
import type { ReadDb } from '../database.ts';
import { heldAt } from '../held.ts';
import { closePage, openPage, type Page, type PageRequest } from '../page.ts';
import { schemaOf } from '../table.ts';
import { training } from './project.ts';
import type { RoundRow, RunRow } from './schema.ts';

export interface RunFilter {
  readonly orgId: OrgId;
  readonly modelId?: ModelId;
  readonly status?: RunRow['status'];
}
/** `rounds_done`: rounds that were aggregated. */
export type ListedRun = RunRow & { readonly rounds_done: number };

/** Training runs, newest first. @param position checkpoint of `training` */
export async function listRuns(
  db: ReadDb,
  filter: RunFilter,
  request: PageRequest,
  position: number,
): Promise<Page<ListedRun>> {
  const page = openPage<[string, string]>('runs', filter, request, position);
  let query = db
    .withSchema(schemaOf(training))
    .selectFrom('runs')
    .selectAll()
    .select((eb) =>
      eb
        .selectFrom('rounds')
        .whereRef('rounds.run_id', '=', 'runs.run_id')
        .where('rounds.log_index', '<=', page.at)
        .where('rounds.type', '=', 'RoundAggregated')
        // Rounds are aggregated one after the other, from 1.
        .orderBy('rounds.log_index', 'desc')
        .limit(1)
        .select('rounds.round')
        .as('rounds_done'),
    )
    .where('org_id', '=', filter.orgId);
  if (filter.modelId !== undefined) query = query.where('model_id', '=', filter.modelId);
  if (filter.status !== undefined) query = query.where('status', '=', filter.status);
  if (page.after) {
    const [createdAt, id] = page.after;
    query = query.where((eb) => eb(eb.refTuple('created_at', 'run_id'), '<', eb.tuple(createdAt, id)));
  }
  const rows = await heldAt(db, query, page.at, { by: ['created_at', 'run_id'], isFalling: true }, page.limit + 1);
  const counted = rows.map((row) => ({ ...row, rounds_done: row.rounds_done ?? 0 }));
  return closePage('runs', filter, page, counted, (row) => [row.created_at, row.run_id]);
}

/** The facts of a run's rounds up to a log index, in order; none for another organisation's run. */
export function listRoundFacts(
  db: ReadDb,
  orgId: OrgId,
  runId: string,
  at: number,
): Promise<(RoundRow & { log_index: number })[]> {
  return db
    .withSchema(schemaOf(training))
    .selectFrom('rounds')
    .selectAll()
    .where('run_id', '=', runId)
    .where((eb) =>
      eb.exists(
        eb.selectFrom('runs').select('runs.run_id').where('runs.run_id', '=', runId).where('org_id', '=', orgId),
      ),
    )
    .where('log_index', '<=', at)
    .orderBy('log_index')
    .execute();
}
