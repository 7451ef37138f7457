/** How long nobody reported of a model: what a look needs to know before it believes anything. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { MODEL, rollout } from '../../machines/facts.fixture.ts';
import { openLog, request, type LogFixture } from '../../test/support/log.ts';
import { createPool, type Pool } from '../connect.ts';
import { queryableOf } from '../queryable.ts';
import { createEvidenceReader } from './evidenceReader.ts';
import { recordReports } from './recordReports.ts';

/** From it a look knows the model. */
const created = {
  id: randomUUID(),
  stream: 'rollout-1',
  machine: 'rollout@1',
  schemaVersion: 1,
  fact: rollout.created(),
};

let log: LogFixture;
let pool: Pool;
beforeAll(async () => {
  log = await openLog();
  pool = createPool({ connectionString: log.appUrl, max: 2 });
  await log.store.append(request({ 'rollout-1': 'none' }, { events: [created] }));
});
afterAll(async () => {
  await pool.end();
  await log.close();
});

const on = () => queryableOf(pool);
const pulse = async () => {
  const { silentMs, longestGapMs } = await createEvidenceReader(on()).readStage({
    rolloutId: 1,
    stage: 0,
    evidenceStage: 0,
    clockMs: 0,
    segments: [],
  });
  return { silentMs, longestGapMs };
};
const report = () =>
  recordReports(
    on(),
    [
      {
        device: { id: randomUUID(), platform: 'ios', osVersion: '17' },
        report: { modelId: MODEL, version: '1.0.0', session: 's', seq: 1, acked: 0, predictions: { ok: 1, failed: 0 } },
        attribution: undefined,
      },
    ],
    3,
  );
/** As if a report had come so long ago. */
const reportedBefore = (ago: string) =>
  on().query(
    `INSERT INTO ops.report_pulse (model_id, minute, shard, last_at)
     SELECT $1, date_trunc('minute', clock_timestamp() - $2::interval), 3, clock_timestamp() - $2::interval`,
    [MODEL, ago],
  );

it('knows nothing before the first report', async () => {
  expect(await pulse()).toEqual({ silentMs: 0, longestGapMs: null });
});

it('tells the longest silence of seven days, and how long it is silent now', async () => {
  for (const ago of ['6 days', '3 days 1 minute', '3 days', '30 days']) await reportedBefore(ago);
  const { silentMs, longestGapMs } = await pulse();
  expect(silentMs / 3_600_000).toBeCloseTo(72, 1);
  expect(longestGapMs! / 3_600_000).toBeCloseTo(72, 1);
});

it('is over with the next report of any device, which forgets minutes of more than eight days ago', async () => {
  await report();
  expect((await pulse()).silentMs).toBeLessThan(60_000);
  const { rows } = await on().query<{ n: number }>(
    `SELECT count(*)::int AS n FROM ops.report_pulse WHERE minute < clock_timestamp() - interval '8 days'`,
    [],
  );
  expect(rows[0]!.n).toBe(0);
});
