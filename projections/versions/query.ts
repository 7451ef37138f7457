/** Lists of versions. */
import type { OrgId } from '../../domain/org.ts';
import { byPrecedenceDesc } from '../../domain/semver.ts';
import { validAt, type ReadDb } from '../database.ts';
import { schemaOf } from '../table.ts';
import { versions } from './project.ts';
import type { VersionRow } from './schema.ts';

export interface VersionFilter {
  readonly orgId: OrgId;
  readonly modelId: string;
  readonly lifecycleState?: string;
}

/** Versions of a model, newest first by precedence: SQL cannot sort these, and a model has at most some hundreds. */
export async function listVersions(db: ReadDb, filter: VersionFilter, at: number): Promise<VersionRow[]> {
  let query = db
    .withSchema(schemaOf(versions))
    .selectFrom('versions')
    .selectAll()
    .where(validAt(at))
    .where('model_id', '=', filter.modelId)
    .where('org_id', '=', filter.orgId);
  if (filter.lifecycleState !== undefined) query = query.where('lifecycle_state', '=', filter.lifecycleState);
  const rows = await query.execute();
  return rows.sort((a, b) => byPrecedenceDesc(a.version, b.version));
}
