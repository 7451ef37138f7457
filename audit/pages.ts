/** Pages of a long reading: the next is asked for while the former is checked, and a page of large facts is smaller. */

/** Text of the facts of a page, in UTF-16 units: two pages are held at a time. */
const MOST_TEXT = 8 * 1024 * 1024;
const MOST_ROWS = 2_000;
const FIRST_ROWS = 200;

/** @param read the rows after `last`, which is undefined at first; none: the end */
export async function* rowPages<Row>(
  read: (last: Row | undefined, limit: number) => Promise<Row[]>,
  textOf: (row: Row) => number,
): AsyncGenerator<Row[], void> {
  let next = read(undefined, FIRST_ROWS);
  for (;;) {
    const rows = await next;
    if (rows.length === 0) return;
    const text = rows.reduce((sum, row) => sum + textOf(row), 0);
    const fits = Math.floor((MOST_TEXT / (text + 1)) * rows.length);
    next = read(rows.at(-1), Math.max(1, Math.min(MOST_ROWS, fits, rows.length * 4)));
    next.catch(() => undefined); // it is thrown where it is awaited, unless the reader has left
    yield rows;
  }
}
