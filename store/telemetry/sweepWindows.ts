/** Ends the windows that no report ends: silence, transfers that take too long, and the age from which crash and silence count for a proof. */
import { randomInt } from 'node:crypto';
import { clockMs } from '../../domain/rollout/stageClock.ts';
import type { SweptStage } from '../../domain/rollout/verdict/index.ts';
import type { Queryable } from '../queryable.ts';
import { SHARDS } from './recordReports.ts';

/** Windows of one statement, and statements of one sweep: the next look goes on. */
const PAGE = 2_000;
const PAGES = 50;

/**
 * Durable page by page; idempotent; two at once share the work. Nothing while the clock stands: then nobody is silent.
 *
 * @param on  a pool as `edgeml_app`
 * @param now the database's time, Unix milliseconds
 * @returns how many windows were looked at
 */
export async function sweepWindows(
  on: Queryable,
  { rolloutId, stage, evidenceStage, clock, silenceAfterMs }: SweptStage,
  now: number,
  page = PAGE,
): Promise<number> {
  const { ranMs, since } = clock;
  if (since === null) return 0;
  const shard = randomInt(SHARDS);
  let swept = 0;
  for (let pages = 0, last = page; last === page && pages < PAGES; pages += 1) {
    const { rows } = await on.query<{ n: number }>(
      'SELECT ops.sweep_windows($1, $2, $3, $4, $5, $6, $7, $8, $9) AS n',
      [...[rolloutId, stage, evidenceStage, clockMs(clock, now), ranMs, new Date(since), silenceAfterMs, page, shard]],
    );
    last = rows[0]!.n;
    swept += last;
  }
  return swept;
}
