/** Lists of models. */
import type { OrgId } from '../../domain/org.ts';
import type { ExpressionBuilder } from 'kysely';
import { validAt, type ReadDb, type ReadTables } from '../database.ts';
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

/** A model with what its listings say. */
export interface ShownModelRow extends ModelRow {
  /** Highest precedence among published versions that are no pre-release and not rolled back. */
  readonly latest_version: string | null;
}

/** Not a column of the model: a rollback of the latest would have to find the next one among all versions. Here an index does. */
const latestVersion = (at: number) => (eb: ExpressionBuilder<ReadTables, 'models'>) =>
  eb
    .selectFrom('listings')
    .select('listings.version')
    .whereRef('listings.model_id', '=', 'models.model_id')
    .where('listings.latest_rank', 'is not', null)
    .where('listings.valid_from', '<=', at)
    .where((on) => on.or([on('listings.valid_to', 'is', null), on('listings.valid_to', '>', at)]))
    .orderBy('listings.latest_rank', 'desc')
    .limit(1)
    .as('latest_version');

/** Models of an organisation by name. @param position checkpoint of `catalog` */
export async function listModels(
  db: ReadDb,
  filter: ModelFilter,
  request: PageRequest,
  position: number,
): Promise<Page<ShownModelRow>> {
  const page = openPage<[string, string]>('models', filter, request, position);
  let query = db
    .withSchema(schemaOf(catalog))
    .selectFrom('models')
    .selectAll()
    .select(latestVersion(page.at))
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
export function findModel(db: ReadDb, orgId: OrgId, modelId: string, at: number): Promise<ShownModelRow | undefined> {
  return db
    .withSchema(schemaOf(catalog))
    .selectFrom('models')
    .selectAll()
    .select(latestVersion(at))
    .where(validAt(at))
    .where('model_id', '=', modelId)
    .where('org_id', '=', orgId)
    .executeTakeFirst();
}
