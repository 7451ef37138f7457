/** Lists that the server answers in pages. */
import type { Http } from './http.ts';

/** The most that a page holds. */
const MOST = 500;

/** What every page of a list has beside its items. */
interface Page {
  readonly next_cursor: string | null;
}

/** The pages of a list, one after the other; all of them as of the first. */
export async function* pagesOf<P extends Page>(
  http: Http,
  path: string,
  query: Readonly<Record<string, string | number | undefined>>,
  signal: AbortSignal | undefined,
): AsyncGenerator<P> {
  for (let cursor: string | undefined; ;) {
    const page: P = await http.json('GET', path, { query: { ...query, limit: MOST, cursor }, signal });
    yield page;
    if (!page.next_cursor) return;
    cursor = page.next_cursor;
  }
}

/** Every item of a list. */
export async function itemsOf<T>(
  http: Http,
  path: string,
  query: Readonly<Record<string, string | number | undefined>>,
  signal: AbortSignal | undefined,
): Promise<T[]> {
  const all: T[] = [];
  for await (const page of pagesOf<Page & { readonly items: readonly T[] }>(http, path, query, signal)) {
    for (const item of page.items) all.push(item);
  }
  return all;
}
