/** Lists of models. */
import type { ModelId } from '../../domain/brands.ts';
import { sql, type SelectQueryBuilder } from 'kysely';
import type { OrgId } from '../../domain/org.ts';
import { validAt, type ReadDb, type ReadTables } from '../database.ts';
import { heldAt, type Order } from '../held.ts';
import { closePage, openPage, pageUpTo, type OpenPage, type Page, type PageRequest } from '../page.ts';
import { schemaOf } from '../table.ts';
import { catalog } from './project.ts';
import { countKey, type ModelRow } from './schema.ts';

/** Texts that a model was registered with, and so has for ever. */
export interface ModelKind {
  readonly orgId: OrgId;
  readonly framework?: string;
  readonly useCase?: string;
}

export interface ModelFilter extends ModelKind {
  /** Part of the name, in any normal form; the case of letters counts as the database's locale says, of ASCII letters never. */
  readonly nameContains?: string;
}

/** A model with what its listings say. */
export interface ShownModelRow extends ModelRow {
  /** Highest precedence among published versions that are no pre-release and not rolled back. */
  readonly latest_version: string | null;
}

/** Not a column of the model: a rollback of the latest would have to find the next one among all versions. Here an index does. */
const latestVersion = (at: number, of: 'models' | 'page' = 'models') =>
  sql<string | null>`(SELECT l.version FROM ${sql.table(`${schemaOf(catalog)}.listings`)} l
    WHERE l.model_id = ${sql.ref(`${of}.model_id`)} AND l.latest_rank IS NOT NULL AND l.valid_from <= ${at}
      AND (l.valid_to IS NULL OR l.valid_to > ${at}) ORDER BY l.latest_rank DESC LIMIT 1)`.as('latest_version');

/** Where a page begins: after a model, or after so many. */
export interface ModelCursor {
  readonly after?: Pick<ModelRow, 'name' | 'model_id'>;
  readonly offset?: number;
}

const BY_NAME = { by: ['name', 'model_id'] } as const satisfies Order;
/** Names that one page looks at where no index finds the part that is asked for. */
const MOST_LOOKED_AT = 2_000;
/** What the index of trigrams can find: three letters or digits in a row. */
const INDEXED = /[\p{L}\p{N}]{3}/u;

type Plain = SelectQueryBuilder<ReadTables, 'models', ModelRow>;
type Models = SelectQueryBuilder<ReadTables, 'models', ShownModelRow>;
/** A log index above every fact. */
const NOW = Number.MAX_SAFE_INTEGER;

function ofKind(db: ReadDb, { orgId, framework, useCase }: ModelKind, after?: ModelCursor['after']): Plain {
  let query: Plain = db
    .withSchema(schemaOf(catalog))
    .selectFrom('models')
    .selectAll('models')
    .where('org_id', '=', orgId);
  if (framework !== undefined) query = query.where('framework', '=', framework);
  if (useCase !== undefined) query = query.where('use_case', '=', useCase);
  if (!after) return query;
  return query.where((eb) => eb(eb.refTuple('name', 'model_id'), '>', eb.tuple(after.name, after.model_id)));
}

/**
 * Models of an organisation by name. A part of a name that is too short for the index is looked for in 2,000 names a page, so such
 * a page may hold fewer models than it was asked for, and another may follow all the same.
 *
 * @param position checkpoint of `catalog`
 */
export async function listModels(
  db: ReadDb,
  filter: ModelFilter,
  request: PageRequest,
  position: number,
): Promise<Page<ShownModelRow>> {
  const page = openPage<[string, string]>('models', filter, request, position);
  const [name, model_id] = page.after ?? [];
  const after = name === undefined || model_id === undefined ? undefined : { name, model_id };
  const query = ofKind(db, filter, after).select(latestVersion(page.at));
  const part = filter.nameContains?.normalize('NFC');
  if (part !== undefined && !INDEXED.test(part)) return lookThrough(db, filter, page, query, likeOf(part));
  const wanted = part === undefined ? query : query.where('name', 'ilike', likeOf(part));
  return closePage('models', filter, page, await heldAt(db, wanted, page.at, BY_NAME, page.limit + 1), keyOf);
}

const keyOf = ({ name, model_id }: Pick<ModelRow, 'name' | 'model_id'>) => [name, model_id];
const likeOf = (part: string) => `%${part.replaceAll(/[\\%_]/g, '\\$&')}%`;

async function lookThrough(
  db: ReadDb,
  filter: ModelFilter,
  page: OpenPage<[string, string]>,
  models: Models,
  like: string,
): Promise<Page<ShownModelRow>> {
  const names = models
    .clearSelect()
    .select(['name', 'model_id'])
    .select((eb) => eb('name', 'ilike', like).as('is_found'));
  const looked = await heldAt(db, names, page.at, BY_NAME, MOST_LOOKED_AT + 1);
  const found = looked.slice(0, MOST_LOOKED_AT).filter((row) => row.is_found);
  const ids = found.slice(0, page.limit).map((row) => row.model_id);
  const last = found.length > page.limit ? found[page.limit - 1] : looked.at(MOST_LOOKED_AT - 1);
  const isMore = found.length > page.limit || looked.length > MOST_LOOKED_AT;
  const some = ofKind(db, filter).select(latestVersion(page.at)).where('model_id', 'in', ids);
  const items = ids.length === 0 ? [] : await heldAt(db, some, page.at, BY_NAME, page.limit);
  return pageUpTo('models', filter, page.at, items, isMore && last ? keyOf(last) : undefined);
}

/** How many models of a kind there are now. */
export async function countModels(db: ReadDb, kind: ModelKind): Promise<number> {
  const row = await db
    .withSchema(schemaOf(catalog))
    .selectFrom('model_counts')
    .select('n')
    .where('counted', '=', countKey(kind.orgId, kind))
    .where('valid_to', 'is', null)
    .executeTakeFirst();
  return row?.n ?? 0;
}

/** Models as they are now, by name: who reads on after the last one meets each model once, since a name never changes. */
export function modelsNow(
  db: ReadDb,
  kind: ModelKind,
  { after, offset = 0 }: ModelCursor,
  limit: number,
): Promise<ShownModelRow[]> {
  const page = ofKind(db, kind, after)
    .where('valid_to', 'is', null)
    .orderBy('name')
    .orderBy('model_id')
    .offset(offset)
    .limit(limit);
  // Rows first: the latest version is looked for in the models of the page, not in those before it.
  return db
    .withSchema(schemaOf(catalog))
    .selectFrom(page.as('page'))
    .selectAll()
    .select(latestVersion(NOW, 'page'))
    .orderBy('name')
    .orderBy('model_id')
    .execute();
}

/** One model as of a log index, or undefined. */
export function findModel(db: ReadDb, orgId: OrgId, modelId: ModelId, at: number): Promise<ShownModelRow | undefined> {
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
