/** Puts the big log of `scaleFacts.ts` into a database, through the product's own append. */
import type { OrgId } from '../../domain/org.ts';
import type { Pool } from '../../store/connect.ts';
import type { EventStore } from '../../store/log/eventStore.ts';
import { appendFacts } from '../../test/support/appendFacts.ts';
import { histories, type Size } from './scaleFacts.ts';

const LANES = 8;

/** @returns ids of the rollouts, in the order of their deep models */
export async function load(
  { store, pool }: { readonly store: EventStore; readonly pool: Pool },
  orgId: OrgId,
  size: Size,
): Promise<number[]> {
  const { rows } = await pool.query<{ id: number }>(
    `SELECT nextval('store.rollout_ids') AS id FROM generate_series(1, $1::int)`,
    [size.rollouts],
  );
  const rolloutIds = rows.map((row) => row.id);
  const all = histories(orgId, size, rolloutIds)[Symbol.iterator]();
  const lane = async () => {
    for (let next = all.next(); !next.done; next = all.next()) {
      for (const facts of next.value) await appendFacts(store, facts);
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  return rolloutIds;
}
