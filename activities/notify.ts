/** People are told once per fact: a row, and a line in the log. Webhooks are another relay's. */
import type { NoticeInput } from './contract.ts';
import type { ActivityDeps } from './deps.ts';
import { cutText } from '../domain/text.ts';

/** Idempotent by event id. A crash between row and log line loses the line, not the row. */
export async function notify(deps: ActivityDeps, notice: NoticeInput): Promise<{ readonly delivered: boolean }> {
  const delivered = await deps.notices.post({ ...notice, text: cutText(notice.text, 4_000) });
  if (delivered) deps.logger.warn({ notice: notice.eventId, audience: notice.audience }, notice.text);
  return { delivered };
}
