/** Lists of rollouts and of what was judged. */
import type { ModelId, Semver } from '../../domain/brands.ts';
import type { OrgId } from '../../domain/org.ts';
import { versionStream } from '../../domain/events/streams.ts';
import type { RolloutStateName } from '../../domain/states.ts';
import { LIVE_STATES } from '../../machines/rollout.ts';
import type { ReadDb } from '../database.ts';
import { heldAt } from '../held.ts';
import { closePage, openPage, type Page, type PageRequest } from '../page.ts';
import { schemaOf } from '../table.ts';
import { rollouts } from './project.ts';
import type { JudgementRow, RolloutRow } from './schema.ts';

export interface RolloutFilter {
  readonly orgId: OrgId;
  readonly modelId?: ModelId;
  readonly version?: Semver;
  /** A state of the machine: `Active`. */
  readonly state?: RolloutStateName;
  /** Only those that devices may be in and that have not ended. */
  readonly isLive?: boolean;
}

/** Rollouts, newest first. @param position checkpoint of `rollouts` */
export async function listRollouts(
  db: ReadDb,
  filter: RolloutFilter,
  request: PageRequest,
  position: number,
): Promise<Page<RolloutRow>> {
  const page = openPage<[number]>('rollouts', filter, request, position);
  let query = db.withSchema(schemaOf(rollouts)).selectFrom('rollouts').selectAll().where('org_id', '=', filter.orgId);
  const { modelId, version } = filter;
  if (modelId !== undefined && version !== undefined) {
    query = query.where('version_stream', '=', versionStream(modelId, version));
  } else if (modelId !== undefined) query = query.where('model_id', '=', modelId);
  else if (version !== undefined) query = query.where('version', '=', version);
  if (filter.state !== undefined) query = query.where('state', '=', filter.state);
  if (filter.isLive !== undefined) query = query.where('state', filter.isLive ? 'in' : 'not in', [...LIVE_STATES]);
  if (page.after) query = query.where('rollout_id', '<', page.after[0]);
  const rows = await heldAt(db, query, page.at, { by: ['rollout_id'], isFalling: true }, page.limit + 1);
  return closePage('rollouts', filter, page, rows, (row) => [row.rollout_id]);
}

/** What was judged of one rollout up to a log index, oldest first; nothing for another organisation's rollout. */
export function listJudgements(
  db: ReadDb,
  orgId: OrgId,
  rolloutId: number,
  at: number,
): Promise<(JudgementRow & { log_index: number })[]> {
  return db
    .withSchema(schemaOf(rollouts))
    .selectFrom('judgements')
    .selectAll()
    .where('rollout_id', '=', rolloutId)
    .where((eb) =>
      eb.exists(
        eb
          .selectFrom('rollouts')
          .select('rollouts.rollout_id')
          .where('rollouts.rollout_id', '=', rolloutId)
          .where('org_id', '=', orgId),
      ),
    )
    .where('log_index', '<=', at)
    .orderBy('log_index')
    .execute();
}
