/** Pages of a list: all are read at the position of the first, so rows neither repeat nor get lost while the log grows. */
import Type, { type Static } from 'typebox';
import { Compile } from 'typebox/compile';
import type { LogIndex } from '../domain/brands.ts';
import { LifecycleError } from '../domain/errors.ts';
import { canonicalSha } from '../domain/hash/canonicalJson.ts';

export interface PageRequest {
  /** 1 to 500; 50 if absent. */
  readonly limit?: number;
  /** `nextCursor` of the page before, with the same filter. */
  readonly cursor?: string;
  /** Log index; absent: where the read model is. Ignored with a cursor, which has its own. */
  readonly asOf?: LogIndex;
}
export interface Page<T> {
  readonly items: readonly T[];
  readonly nextCursor: string | null;
  /** Log index as of which every page of this list is read. */
  readonly position: number;
}
export interface OpenPage<K> {
  readonly at: number;
  readonly limit: number;
  /** Sort key of the last row before this page. */
  readonly after: K | undefined;
}

const DEFAULT_LIMIT = 50;
const MAX_LIMIT = 500;
const Cursor = Type.Object(
  { at: Type.Integer(), key: Type.Array(Type.Union([Type.String(), Type.Number()])), filter: Type.String() },
  { additionalProperties: false },
);
type Cursor = Static<typeof Cursor>;
const cursors = Compile(Cursor);

const badCursor = (why: string) => new LifecycleError('bad_cursor', `The cursor ${why}.`);
const hashOf = (list: string, filter: object) => canonicalSha({ list, ...filter }).slice(0, 16);

function parse(text: string): Cursor {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(text, 'base64url').toString('utf8'));
  } catch {
    throw badCursor('cannot be read');
  }
  if (!cursors.Check(value)) throw badCursor('is not one of ours');
  return value;
}

/**
 * @param list    name of the list; a cursor of another one is refused
 * @param filter  JSON; undefined members must be left out
 * @throws LifecycleError `bad_cursor`; `projection_behind` where `asOf` is past `position`
 */
export function openPage<K extends readonly (string | number)[]>(
  list: string,
  filter: object,
  { limit = DEFAULT_LIMIT, cursor, asOf }: PageRequest,
  position: number,
): OpenPage<K> {
  const seen = cursor === undefined ? undefined : parse(cursor);
  if (seen && seen.filter !== hashOf(list, filter)) throw badCursor('belongs to another list or filter');
  const at = seen?.at ?? asOf ?? position;
  if (at > position) {
    throw new LifecycleError(
      'projection_behind',
      `The list is asked for at ${at} and the read model is at ${position}.`,
      {
        retry_after_s: 1,
      },
    );
  }
  // Safe: the filter's hash says for which list the key was made, and the API lets in no cursor that was not made here.
  return { at, limit: Math.min(Math.max(1, limit), MAX_LIMIT), after: seen?.key as unknown as K | undefined };
}

/** A page of at most `limit` rows out of `limit + 1` that were read. `keyOf` is the sort key of a row. */
export function closePage<R>(
  list: string,
  filter: object,
  { at, limit }: OpenPage<readonly unknown[]>,
  rows: readonly R[],
  keyOf: (row: R) => (string | number)[],
): Page<R> {
  const items = rows.slice(0, limit);
  const last = items.at(-1);
  return pageUpTo(list, filter, at, items, rows.length <= limit || last === undefined ? undefined : keyOf(last));
}

/** A page that ends after the sort key `last`; undefined: the list ends with it. */
export function pageUpTo<R>(
  list: string,
  filter: object,
  at: number,
  items: readonly R[],
  last: (string | number)[] | undefined,
): Page<R> {
  if (last === undefined) return { items, nextCursor: null, position: at };
  const cursor: Cursor = { at, key: last, filter: hashOf(list, filter) };
  return { items, nextCursor: Buffer.from(JSON.stringify(cursor)).toString('base64url'), position: at };
}
