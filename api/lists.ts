/** Lists: read at a fixed place of the log, once the read models have come that far. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { LifecycleError } from '../domain/errors.ts';
import { closePage, openPage, type Page, type PageRequest } from '../projections/page.ts';
import type { ReadModelName, ReadModels } from '../projections/readModels.ts';
import type { OrgId } from '../domain/org.ts';
import type { Cursors } from './access/cursors.ts';
import { whoAsks } from './access/principal.ts';
import { preferredWaitMs } from './http/prefer.ts';
import { asOfIndex, eventIn, ownEvent, type Reading } from './reading.ts';

interface ListQuery {
  readonly limit?: number;
  readonly cursor?: string;
  readonly as_of?: string;
  readonly min_position?: string;
}

const WAIT_MS = 2_000;
const MOST_ROWS = 500;

/**
 * The page that a query asks for, once every read model named is at its `as_of` and `min_position`.
 *
 * @throws LifecycleError `bad_cursor`; `projection_behind` after 2 s (`Prefer: wait=N`, at most 15); as `resolveAsOf` says
 */
export async function pageRequestOf(
  deps: Reading & { readonly reads: ReadModels; readonly cursors: Cursors },
  request: FastifyRequest,
  query: ListQuery,
  ...of: readonly ReadModelName[]
): Promise<PageRequest> {
  const { orgId } = whoAsks(request);
  const cursor = query.cursor === undefined ? undefined : deps.cursors.open(query.cursor);
  const asOf = query.as_of === undefined ? undefined : await asOfIndex(deps, orgId, query.as_of);
  const wanted = query.min_position === undefined ? -1 : await placeOf(deps, orgId, query.min_position);
  const least = Math.max(asOf ?? -1, wanted);
  const waitMs = preferredWaitMs(request, WAIT_MS);
  const reached = await Promise.all(of.map((name) => deps.reads.waitFor(name, least, waitMs)));
  if (reached.includes(false)) {
    const detail = `The read model ${of.join(', ')} has not reached ${Math.max(0, least)} in ${waitMs} ms.`;
    throw new LifecycleError('projection_behind', detail, { retry_after_s: 1 });
  }
  return {
    ...(query.limit === undefined ? {} : { limit: query.limit }),
    ...(cursor === undefined ? {} : { cursor }),
    ...(asOf === undefined ? {} : { asOf }),
  };
}

async function placeOf(deps: Reading, orgId: OrgId, text: string): Promise<number> {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  const id = eventIn(text);
  if (id === undefined) {
    const detail = `min_position "${text}" is neither a position nor event:<id>.`;
    throw new LifecycleError('invalid_input', detail, { errors: [{ pointer: '/querystring/min_position', detail }] });
  }
  const unknown = `min_position names event ${id}, which is not stored.`;
  const index = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(id) ? await deps.log.logIndexOf(id) : undefined;
  if (index === undefined) throw new LifecycleError('event_not_found', unknown);
  const placed = index ?? (await deps.log.awaitLogIndex(id, WAIT_MS));
  if (placed === null) throw new LifecycleError('projection_behind', `Event ${id} has no place in the log yet.`);
  await ownEvent(deps, orgId, id, unknown);
  return placed;
}

/** A page as it is sent. Sets `EdgeML-Position` and the `Link` to the next page. */
export function answerPage<R, V>(
  deps: { readonly cursors: Cursors },
  request: FastifyRequest,
  reply: FastifyReply,
  page: Page<R>,
  view: (row: R) => V,
): { items: V[]; next_cursor: string | null; position: number } {
  reply.header('edgeml-position', String(page.position));
  return { ...linkedPage(deps, request, reply, page, view), position: page.position };
}

function linkedPage<R, V>(
  { cursors }: { readonly cursors: Cursors },
  request: FastifyRequest,
  reply: FastifyReply,
  page: Page<R>,
  view: (row: R) => V,
): { items: V[]; next_cursor: string | null } {
  const cursor = page.nextCursor === null ? null : cursors.seal(page.nextCursor);
  if (cursor !== null) {
    const [path, query = ''] = request.url.split('?');
    const next = new URLSearchParams(query);
    next.set('cursor', cursor);
    reply.header('link', `<${path}?${next.toString()}>; rel="next"`);
  }
  return { items: page.items.map(view), next_cursor: cursor };
}

/**
 * A page of a list that is in no read model: of rows that are read after a sort key, as they are now.
 *
 * @param read  answers at most `limit` rows after the key
 * @throws LifecycleError `bad_cursor`
 */
export async function answerRows<K extends readonly (string | number)[], R, V>(
  deps: { readonly cursors: Cursors },
  request: FastifyRequest,
  reply: FastifyReply,
  list: { readonly name: string; readonly filter: object; readonly keyOf: (row: R) => (string | number)[] },
  query: { readonly limit?: number; readonly cursor?: string },
  read: (limit: number, after: K | undefined) => Promise<readonly R[]>,
  view: (row: R) => V,
): Promise<{ items: V[]; next_cursor: string | null }> {
  const cursor = query.cursor === undefined ? undefined : deps.cursors.open(query.cursor);
  const limit = query.limit ?? MOST_ROWS;
  const open = openPage<K>(list.name, list.filter, { limit, ...(cursor === undefined ? {} : { cursor }) }, 0);
  const rows = await read(open.limit + 1, open.after);
  return linkedPage(deps, request, reply, closePage(list.name, list.filter, open, rows, list.keyOf), view);
}
