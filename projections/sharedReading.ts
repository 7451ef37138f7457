/** One reading of the log for all read models of a process: a page is fetched and decoded once, not once by each. */
import type { SequencedEvent } from '../domain/events/envelope.ts';
import type { LogReader } from './applying.ts';

const PAGE = 500;
/** Facts are at most 64 KiB, and mostly below 1 KiB. */
const KEPT_PAGES = 16;

/**
 * Answers at most the rest of a page, so it may give fewer facts than asked although there are more. Only full pages are kept, since
 * they never change; one that ends with the log, or holds a fact that cannot be decoded, is read anew each time.
 */
export function shareReading(log: LogReader): LogReader {
  const pages = new Map<number, Promise<SequencedEvent[]>>();

  function keep(n: number, page: Promise<SequencedEvent[]>): void {
    pages.delete(n);
    pages.set(n, page); // the newest use comes last
    for (const oldest of pages.keys()) {
      if (pages.size <= KEPT_PAGES) return;
      pages.delete(oldest);
    }
  }

  function fetch(n: number): Promise<SequencedEvent[]> {
    const page = log.readLog(n * PAGE - 1, PAGE);
    const forget = () => pages.get(n) === page && pages.delete(n);
    page.then((events) => events.length < PAGE && forget(), forget);
    keep(n, page);
    return page;
  }

  return {
    async readLog(after, limit) {
      const n = Math.floor((after + 1) / PAGE);
      const skipped = after + 1 - n * PAGE;
      const page = pages.get(n);
      if (!page && skipped === 0 && limit >= PAGE) return fetch(n);
      if (page) {
        keep(n, page);
        const events = await page.catch(() => []);
        // Shorter: it was asked for before the log held all of it.
        if (events.length === PAGE) return events.slice(skipped, skipped + limit);
      }
      return log.readLog(after, Math.min(limit, PAGE - skipped));
    },
  };
}
