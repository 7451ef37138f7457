/** After a restore into another cluster: what had an index keeps it, the tail gets one, and nothing is lost. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runSequencer } from '../relay/sequencer.ts';
import { openLog, request, until, type LogFixture } from '../test/support/log.ts';
import { leafOf } from './log/leaf.ts';
import { rebase } from './rebase.ts';

let log: LogFixture;
beforeEach(async () => {
  log = await openLog();
});
afterEach(() => log.close());

const quiet = { info: () => undefined, warn: () => undefined, error: () => undefined };
async function sequenceUntil(head: number): Promise<void> {
  const stop = new AbortController();
  const running = runSequencer({ connectionString: log.appUrl, signal: stop.signal, log: quiet });
  await until(`head ${head}`, async () => (await log.store.head()) === head);
  stop.abort();
  await running;
}

describe('rebase (T13)', () => {
  it('places the tail, then new facts, and loses none, where old xids are far above the new cluster’s', async () => {
    for (let i = 0; i < 4; i += 1) await log.store.append(request({ 'rollout-1': 'any' }));
    await sequenceUntil(3);
    for (let i = 0; i < 3; i += 1) await log.store.append(request({ 'rollout-1': 'any', 'rollout-2': 'any' }));

    // What a restore into a fresh cluster leaves: rows and cursor with xids that this cluster has not reached.
    await log.admin.query('ALTER TABLE store.events DISABLE TRIGGER append_only');
    await log.admin.query(`UPDATE store.events SET xid = (xid::text::bigint + 1000000000)::text::xid8`);
    await log.admin.query('ALTER TABLE store.events ENABLE ALWAYS TRIGGER append_only');
    await log.admin.query(`UPDATE store.sequencer SET last_xid = (last_xid::text::bigint + 1000000000)::text::xid8,
      system_identifier = system_identifier + 1, database_oid = database_oid::int + 1`);
    await log.store.append(request({ 'rollout-3': 'none' })); // appends went on

    expect(await rebase(log.adminUrl)).toEqual({ outcome: 'rebased', era: 2, firstIndex: 4, placed: 7 });
    for (let i = 0; i < 2; i += 1) await log.store.append(request({ 'rollout-2': 'any' }));
    await sequenceUntil(12);
    const rows = await log.store.readRawLog(-1, 100);
    expect(rows.map((r) => r.log_index)).toEqual(Array.from({ length: 13 }, (_, i) => i));
    expect(rows.map((r) => `${r.event!.stream_id}@${r.event!.stream_version}`)).toEqual([
      ...[1, 2, 3, 4].map((v) => `rollout-1@${v}`),
      ...[0, 1, 2].flatMap((i) => [`rollout-1@${5 + i}`, `rollout-2@${1 + i}`]),
      'rollout-3@1',
      'rollout-2@4',
      'rollout-2@5',
    ]);
    expect(rows.map((r) => r.event!.era)).toEqual([...Array<number>(11).fill(1), 2, 2]);
    for (const row of rows)
      expect(Buffer.compare(row.leaf_hash, leafOf(row.event!, row.log_index, row.sequenced_at))).toBe(0);
  });

  it('changes nothing where the database is where it was', async () => {
    await log.store.append(request({ 'rollout-1': 'any' }));
    expect(await rebase(log.adminUrl)).toEqual({ outcome: 'same_cluster', era: 1 });
    await sequenceUntil(0);
  });

  it('is refused to the app', async () => {
    await expect(rebase(log.appUrl)).rejects.toMatchObject({ code: '42501' });
  });
});
