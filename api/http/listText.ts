/** A list of any length as one JSON document: its text is made page by page, as its reader takes it. */
import type { FastifyReply } from 'fastify';
import { Readable } from 'node:stream';

export interface ListText {
  /** Text before the array's items: `{"models":[`. */
  readonly open: string;
  /** What is listed, in order; each page is held in memory alone. */
  readonly pages: AsyncGenerator<readonly object[]>;
  /** Text after them: `]}`. Asked for at the end. */
  close(): string | Promise<string>;
}

/**
 * Sends it. Pages are read no faster than the client takes them, and no more of them after it has left. An error after the first
 * page ends the connection, so what was sent is no whole document.
 *
 * @throws the error of the first page, before anything is sent
 */
export async function answerListText(reply: FastifyReply, list: ListText): Promise<FastifyReply> {
  const first = await list.pages.next();
  const text = Readable.from(textOf(list, first), { objectMode: false });
  return reply.type('application/json; charset=utf-8').send(text);
}

async function* textOf(
  { open, pages, close }: ListText,
  first: IteratorResult<readonly object[], unknown>,
): AsyncGenerator<string> {
  try {
    yield open;
    let isFirst = true;
    for (let page = first; !page.done; page = await pages.next()) {
      if (page.value.length === 0) continue;
      yield (isFirst ? '' : ',') + page.value.map((item) => JSON.stringify(item)).join(',');
      isFirst = false;
    }
    yield await close();
  } finally {
    await pages.return(undefined);
  }
}
