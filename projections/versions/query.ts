/** Lists of versions. */
import type { ModelId } from '../../domain/brands.ts';
import type { SelectQueryBuilder } from 'kysely';
import type { OrgId } from '../../domain/org.ts';
import type { LifecycleState } from '../../domain/states.ts';
import type { ReadDb, ReadTables } from '../database.ts';
import { heldAt } from '../held.ts';
import { closePage, openPage, type Page, type PageRequest } from '../page.ts';
import { schemaOf } from '../table.ts';
import { versions } from './project.ts';
import { LISTED, type VersionRow } from './schema.ts';

export interface VersionFilter {
  readonly orgId: OrgId;
  readonly modelId: ModelId;
  readonly lifecycleState?: LifecycleState;
}

const HIGHEST_FIRST = { by: ['precedence', 'version'], isFalling: true } as const;

const ofModel = (db: ReadDb, orgId: OrgId, modelId: ModelId): SelectQueryBuilder<ReadTables, 'versions', VersionRow> =>
  db
    .withSchema(schemaOf(versions))
    .selectFrom('versions')
    .selectAll()
    .where('model_id', '=', modelId)
    .where('org_id', '=', orgId);

/** Versions of a model, highest precedence first. @param position checkpoint of `versions` */
export async function listVersions(
  db: ReadDb,
  filter: VersionFilter,
  request: PageRequest,
  position: number,
): Promise<Page<VersionRow>> {
  const page = openPage<[string, string]>('versions', filter, request, position);
  let query = ofModel(db, filter.orgId, filter.modelId);
  if (filter.lifecycleState !== undefined) query = query.where('lifecycle_state', '=', filter.lifecycleState);
  if (page.after) {
    const [precedence, version] = page.after;
    query = query.where((eb) => eb(eb.refTuple('precedence', 'version'), '<', eb.tuple(precedence, version)));
  }
  const rows = await heldAt(db, query, page.at, HIGHEST_FIRST, page.limit + 1);
  return closePage('versions', filter, page, rows, (row) => [row.precedence, row.version]);
}

/** Statuses of the EdgeML API, as the span of `listing` that has each. */
const SPANS: Readonly<Record<string, readonly [from: string, below: string]>> = {
  rolled_back: [LISTED.rolledBack, LISTED.onTheirWay],
  draft: [LISTED.onTheirWay, LISTED.previews],
  published: [LISTED.previews, '4'],
};

export interface ListedFilter {
  readonly orgId: OrgId;
  readonly modelId: ModelId;
  readonly status?: string;
}

/** A model's versions as they are now, in the order of the EdgeML API. A status that the API does not know has none. */
export async function listedVersions(
  db: ReadDb,
  { orgId, modelId, status }: ListedFilter,
  { limit, offset }: { readonly limit: number; readonly offset: number },
): Promise<VersionRow[]> {
  const span = status === undefined ? undefined : SPANS[status];
  if (status !== undefined && !span) return [];
  let query = ofModel(db, orgId, modelId).where('valid_to', 'is', null);
  if (span) query = query.where('listing', '>=', span[0]).where('listing', '<', span[1]);
  return query.orderBy('listing', 'desc').limit(limit).offset(offset).execute();
}

/** Lifecycle state of the newest version of each model now; a model without a version is left out. */
export async function newestLifecycles(db: ReadDb, modelIds: readonly string[]): Promise<Map<string, LifecycleState>> {
  if (modelIds.length === 0) return new Map();
  const rows = await db
    .withSchema(schemaOf(versions))
    .selectFrom('newest_versions')
    .select(['model_id', 'lifecycle_state'])
    .where('model_id', 'in', [...modelIds])
    .where('valid_to', 'is', null)
    .execute();
  return new Map(rows.map((row) => [row.model_id, row.lifecycle_state]));
}
