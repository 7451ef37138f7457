/** After an outage with a thousand processes: one pass mends them all, a few at a time, and asks for none that is settled. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createProcessTable } from '../store/processes/processTable.ts';
import { openLog, type LogFixture } from '../test/support/log.ts';
import { reconcile, type ReconcilerParts } from './reconciler.ts';
import type { CallResult, Life, TemporalCalls } from './temporalCalls.ts';

const MANY = 1_000;
const AT_ONCE = 16;
const quiet = { info() {}, warn() {}, error() {} };

let log: LogFixture;
let parts: ReconcilerParts;
/** Ids that Temporal was asked about or told to start, in order. */
let asked: string[] = [];
let started: string[] = [];
let most = 0;
let life: (id: string) => Life = () => 'ended';

beforeAll(async () => {
  log = await openLog();
  let now = 0;
  // Stands for Temporal: what it answers is given, how it is asked is what the tests are about.
  const answer = async <T>(give: () => T): Promise<T> => {
    most = Math.max(most, (now += 1));
    await new Promise((resolve) => setImmediate(resolve));
    now -= 1;
    return give();
  };
  const calls: TemporalCalls = {
    life: (id) => answer(() => (asked.push(id), life(id))),
    start: (id) => answer((): CallResult => (started.push(id), 'done')),
    signal: () => answer((): CallResult => 'done'),
    cancel: () => answer((): CallResult => 'done'),
    namespaceId: () => Promise.resolve('n'),
    close: () => Promise.resolve(),
  };
  const table = createProcessTable(await log.session());
  parts = { log: log.store, table, calls, signal: new AbortController().signal, logger: quiet };
});
afterAll(() => log.close());
beforeEach(async () => {
  asked = [];
  started = [];
  most = 0;
  await log.admin.query('TRUNCATE ops.processes');
});

/** `MANY` publications, closed ten minutes ago in groups of one moment; or open. */
async function processes(state: 'open' | 'closed'): Promise<void> {
  await log.admin.query(
    `INSERT INTO ops.processes (id, kind, stream, state, due_version, rung_version, started_by, opened_at, closed_at)
     SELECT 'publish:m@1.0.' || i || ':1', 'publish', 'version-m@1.0.' || i, $1, 0, 0, gen_random_uuid(), now(),
            CASE WHEN $1 = 'closed' THEN now() - interval '8 min' - i / 300 * interval '1 ms' END
       FROM generate_series(1, ${MANY}) i`,
    [state],
  );
}
const unsettled = async () =>
  (await log.admin.query(`SELECT count(*)::int AS n FROM ops.processes WHERE NOT settled`)).rows[0].n as number;
const once = (ids: readonly string[]) => expect([new Set(ids).size, ids.length]).toEqual([MANY, MANY]);

describe('a pass over a thousand processes', () => {
  it('settles every closed one, and asks for none again', async () => {
    await processes('closed');
    life = () => 'ended';
    expect(await reconcile(parts)).toMatchObject({ whole: true, restarted: [] });
    once(asked);
    expect(await unsettled()).toBe(0);
    expect([most > 1, most <= AT_ONCE]).toEqual([true, true]);
    asked = [];
    expect(await reconcile(parts)).toMatchObject({ whole: true });
    expect(asked).toEqual([]);
  });

  it('comes past those that live on', async () => {
    await processes('closed');
    await log.admin.query(`UPDATE ops.processes SET closed_at = closed_at - interval '10 min'`);
    life = (id) => (/[1-8]:1$/.test(id) ? 'alive' : 'ended');
    const { cancelled, whole } = await reconcile(parts);
    expect(whole).toBe(true);
    once(asked);
    expect(cancelled).toHaveLength(800);
    expect(await unsettled()).toBe(800);
  });

  it('starts every open one that Temporal lost, once', async () => {
    await processes('open');
    life = (id) => (started.includes(id) ? 'alive' : 'missing');
    const { restarted, whole } = await reconcile(parts);
    expect(whole).toBe(true);
    once(restarted);
    once(started);
    expect([most > 1, most <= AT_ONCE]).toEqual([true, true]);
    expect(await reconcile(parts)).toMatchObject({ whole: true, restarted: [], signalled: [] });
    once(started);
  });

  it('ends where Temporal does not answer, without asking for the rest', async () => {
    await processes('open');
    life = () => 'away';
    expect(await reconcile(parts)).toMatchObject({ whole: false, restarted: [] });
    expect(asked.length).toBeLessThanOrEqual(AT_ONCE);
  });
});
