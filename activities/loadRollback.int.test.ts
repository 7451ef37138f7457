/** People are told of a rollback while the devices cannot be counted. */
import { text } from 'node:stream/consumers';
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
import { draftPostMortem } from './draftPostMortem.ts';
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

  const waiting = async () => {
    const text = `SELECT count(*)::int AS n FROM pg_locks WHERE NOT granted AND relation = 'ops.version_told'::regclass`;
    return (await pool.query<{ n: number }>(text)).rows[0]!.n;
  };
  const locker = await pool.connect();
  await locker.query('BEGIN');
  await locker.query('LOCK TABLE ops.version_told IN ACCESS EXCLUSIVE MODE');
  const { next } = await loadRollback(activity, { rolloutId });
  if (next.kind !== 'tell') throw new Error(`expected a notice, got ${next.kind}`);
  await notify(activity, next.notice);
  expect([...(await notices.of(next.notice.eventId))]).toEqual([next.notice.eventId]);

  // Who follows the devices counts them, and has hours; the loads before and after it wait for no count.
  expect((await loadRollback(activity, { rolloutId })).next.kind).toBe('follow');
  const drafting = draftPostMortem(activity, { rolloutId });
  await expect.poll(waiting).toBe(1);
  const { sha256 } = await drafting;
  const draft = await text(await c.deps.blobs.get(sha256));
  expect(draft).toContain('The devices that were told it could not be counted in time.');
  await locker.query('ROLLBACK');
  locker.release();
});
