/** Lists of models. */
import type { OrgId } from '../../domain/org.ts';
import { validAt, type ReadDb } from '../database.ts';
import { closePage, openPage, type Page, type PageRequest } from '../page.ts';
import { schemaOf } from '../table.ts';
import { catalog } from './project.ts';
import type { ModelRow } from './schema.ts';

export interface ModelFilter {
  readonly orgId: OrgId;
  readonly framework?: string;
  readonly useCase?: string;
  /** Part of the name, in any normal form; the case of letters counts as the database's locale says, of ASCII letters never. */
  readonly nameContains?: string;
}

/** Models of an organisation by name. @param position checkpoint of `catalog` */
export async function listModels(
  db: ReadDb,
  filter: ModelFilter,
  request: PageRequest,
  position: number,
): Promise<Page<ModelRow>> {
  const page = openPage<[string, string]>('models', filter, request, position);
  let query = db
    .withSchema(schemaOf(catalog))
    .selectFrom('models')
    .selectAll()
    .where(validAt(page.at))
    .where('org_id', '=', filter.orgId);
  if (filter.framework !== undefined) query = query.where('framework', '=', filter.framework);
  if (filter.useCase !== undefined) query = query.where('use_case', '=', filter.useCase);
  if (filter.nameContains !== undefined) {
    query = query.where('name', 'ilike', `%${filter.nameContains.normalize('NFC').replaceAll(/[\\%_]/g, '\\$&')}%`);
  }
  if (page.after) {
    const [name, id] = page.after;
    query = query.where((eb) => eb(eb.refTuple('name', 'model_id'), '>', eb.tuple(name, id)));
  }
  const rows = await query
    .orderBy('name')
    .orderBy('model_id')
    .limit(page.limit + 1)
    .execute();
  return closePage('models', filter, page, rows, (row) => [row.name, row.model_id]);
}

/** One model as of a log index, or undefined. */
export function findModel(db: ReadDb, orgId: OrgId, modelId: string, at: number): Promise<ModelRow | undefined> {
  return db
    .withSchema(schemaOf(catalog))
    .selectFrom('models')
    .selectAll()
    .where(validAt(at))
    .where('model_id', '=', modelId)
    .where('org_id', '=', orgId)
    .executeTakeFirst();
}
