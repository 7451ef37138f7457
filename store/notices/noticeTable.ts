/** What people were told, once per fact. Durable when it returns; idempotent by event id. Webhooks are another relay's. */
import type { Queryable } from '../queryable.ts';

export interface Notice {
  /** The fact it tells of; `<fact>/<what>` where one fact has several. */
  readonly eventId: string;
  readonly audience: string;
  readonly text: string;
}

export interface NoticeStore {
  /** @returns whether it is new: a repeat of `eventId` keeps the first text and tells nobody */
  post(notice: Notice): Promise<boolean>;
  /** Ids of the notices of a fact: the fact's own and `<fact>/…`. */
  of(eventId: string): Promise<ReadonlySet<string>>;
  /** The newest first. */
  list(limit: number): Promise<(Notice & { readonly at: string })[]>;
}

/** @param pool where each statement runs alone */
export function createNoticeStore(pool: Queryable): NoticeStore {
  return {
    async post({ eventId, audience, text }) {
      const { rows } = await pool.query(
        'INSERT INTO ops.notices (event_id, audience, text) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING at',
        [eventId, audience, text],
      );
      return rows.length === 1;
    },
    async of(eventId) {
      const { rows } = await pool.query<{ event_id: string }>(
        `SELECT event_id FROM ops.notices WHERE event_id = $1 OR (event_id > $1 || '/' AND event_id < $1 || '0')`,
        [eventId],
      );
      return new Set(rows.map((r) => r.event_id));
    },
    async list(limit) {
      const { rows } = await pool.query<{ event_id: string; audience: string; text: string; at: Date }>(
        'SELECT event_id, audience, text, at FROM ops.notices ORDER BY at DESC LIMIT $1',
        [limit],
      );
      return rows.map((r) => ({ eventId: r.event_id, audience: r.audience, text: r.text, at: r.at.toISOString() }));
    },
  };
}
