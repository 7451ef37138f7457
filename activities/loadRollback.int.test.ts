/** People are told of a rollback while the devices cannot be counted. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { rollBack } from '../commands/rollBack.ts';
import { createAndStart } from '../commands/createAndStart.ts';
import { createNoticeStore, type NoticeStore } from '../store/notices/noticeTable.ts';
import { createPool, type Pool } from '../store/connect.ts';
import { queryableOf } from '../store/queryable.ts';
import { createTelemetryReader } from '../store/telemetry/telemetryReader.ts';
import {
  facts,
  newModel,
  openCommands,
  person,
  publish,
  spec,
  stopper,
  type Commands,
} from '../test/support/commands.ts';
import type { ActivityDeps } from './deps.ts';
import { loadRollback } from './loadRollback.ts';
import { notify } from './notify.ts';

let c: Commands;
let pool: Pool;
let notices: NoticeStore;
beforeAll(async () => {
  c = await openCommands();
  pool = createPool({ connectionString: c.appUrl, max: 4 });
  notices = createNoticeStore(queryableOf(pool));
});
afterAll(async () => {
  await pool.end();
  await c.close();
});

it('the first notice does not wait for a count of the fleet', async () => {
  const modelId = await newModel(c.deps);
  await publish(c.deps, modelId, '1.0.0');
  const { rolloutId, ...started } = await createAndStart(c.deps, person(), { modelId, spec: spec('1.0.0') });
  facts(started);
  facts(await rollBack(c.deps, stopper(), { rolloutId, reason: 'errors', trigger: 'manual' }));
  const logger = { info: () => undefined, warn: () => undefined, error: () => undefined };
  const deps = { commands: c.deps, notices, telemetry: createTelemetryReader(queryableOf(pool)), logger };
  const activity = deps as unknown as ActivityDeps; // no model runs in these activities, so no runtime is needed

  const locker = await pool.connect();
  await locker.query('BEGIN');
  await locker.query('LOCK TABLE ops.device_told IN ACCESS EXCLUSIVE MODE');
  const { next } = await loadRollback(activity, { rolloutId });
  if (next.kind !== 'tell') throw new Error(`expected a notice, got ${next.kind}`);
  await notify(activity, next.notice);
  expect([...(await notices.of(next.notice.eventId))]).toEqual([next.notice.eventId]);

  let isCounted = false;
  const counting = loadRollback(activity, { rolloutId }).finally(() => (isCounted = true));
  await expect
    .poll(async () => {
      const waiting = `SELECT count(*)::int AS n FROM pg_locks WHERE NOT granted AND relation = 'ops.device_told'::regclass`;
      return (await pool.query<{ n: number }>(waiting)).rows[0]!.n;
    })
    .toBe(1);
  expect(isCounted).toBe(false);
  await locker.query('ROLLBACK');
  locker.release();
  expect((await counting).next.kind).toBe('tell'); // nobody was told the version, so everybody is back
});
