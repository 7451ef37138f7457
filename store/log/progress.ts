/** How far each part that follows the log has come, as the database tells it: one process sees that a part in another one stands. */
import type { Queryable } from '../queryable.ts';
import { namedSql } from '../sql/namedSql.ts';

const RELAYS = ['nats', 'temporal'];
const SEQUENCER_LAG = namedSql('sequencer_lag');
const COUNTED = namedSql('facts_counted');

/** Age of the oldest fact without a place, seconds: the first in commit order after the one that the sequencer placed last. */
export async function sequencerLag(on: Queryable): Promise<number> {
  const { rows } = await on.query<{ seconds: number | null }>(SEQUENCER_LAG);
  return rows[0]?.seconds ?? 0;
}

/** Log index up to which each relay has handed on; -1 for one that never stood anywhere. */
export async function relayCursors(on: Queryable): Promise<ReadonlyMap<string, number>> {
  const { rows } = await on.query<{ name: string; log_index: number }>(
    'SELECT name, log_index FROM store.followers WHERE name = ANY ($1::text[])',
    [RELAYS],
  );
  const at = new Map(rows.map((r) => [r.name, r.log_index]));
  return new Map(RELAYS.map((relay) => [relay, at.get(relay) ?? -1]));
}

/** For how many seconds the fact after each index has been there; none after the head. */
export async function waitingSince(on: Queryable, after: readonly number[]): Promise<ReadonlyMap<number, number>> {
  const { rows } = await on.query<{ log_index: number; seconds: number }>(
    `SELECT log_index, extract(epoch FROM clock_timestamp() - sequenced_at)::float8 AS seconds
       FROM store.log WHERE log_index = ANY ($1::bigint[])`,
    [after.map((index) => index + 1)],
  );
  return new Map(rows.map((row) => [row.log_index - 1, row.seconds]));
}

export type FactCount = {
  /** Kind of the stream. */
  readonly stream: string;
  readonly type: string;
  readonly facts: number;
  /** What was judged, or what rolled back. */
  readonly word: string | null;
};

/** Facts by kind, of the places after `after` and up to `upTo`; of the first 2,000 of them where there are more. */
export async function countFactsBetween(on: Queryable, after: number, upTo: number): Promise<readonly FactCount[]> {
  return (await on.query<FactCount>(COUNTED, [after, upTo])).rows;
}
