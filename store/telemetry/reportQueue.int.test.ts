/** Many requests share a commit, and none of them is harmed by another. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openLog, type LogFixture } from '../../test/support/log.ts';
import { createPool, type Pool } from '../connect.ts';
import type { Queryable } from '../queryable.ts';
import { queryableOf } from '../queryable.ts';
import { createReportQueue } from './reportQueue.ts';
import type { AttributedReport, Report } from './report.ts';
import { createTelemetryReader, type TelemetryReader } from './telemetryReader.ts';

let log: LogFixture;
let pool: Pool;
let on: Queryable;
let reader: TelemetryReader;
beforeAll(async () => {
  log = await openLog();
  pool = createPool({ connectionString: log.appUrl, max: 8 });
  on = queryableOf(pool);
  reader = createTelemetryReader(on);
});
afterAll(async () => {
  await pool.end();
  await log.close();
});

let rollouts = 0;
const freshRollout = () => (rollouts += 1);
const reportOf = (deviceId: string, rolloutId: number, report: Partial<Report> = {}): AttributedReport => ({
  device: { id: deviceId, platform: 'ios', osVersion: '17' },
  report: {
    modelId: 'm',
    version: '1.1.0',
    session: 's',
    seq: 1,
    acked: 0,
    predictions: { ok: 1, failed: 0 },
    ...report,
  },
  attribution: { rolloutId, stage: 0, arm: 'canary' },
});
const phones = (n: number) => Array.from({ length: n }, () => randomUUID());

/** Counts the statements, and holds each until `gate` opens. */
function watched(gate: Promise<unknown> = Promise.resolve()) {
  const sizes: number[] = [];
  const through: Queryable = {
    async query<R extends Record<string, unknown>>(sql: string, values?: readonly unknown[]) {
      sizes.push((JSON.parse(String(values?.[0])) as unknown[]).length); // the batch, as JSON text
      await gate;
      return on.query<R>(sql, values);
    },
  };
  return { through, sizes };
}

describe('reports that come at once', () => {
  it('go at once where nobody is before them, and share commits of a bounded size where somebody is', async () => {
    const id = freshRollout();
    let open = (): void => undefined;
    const { through, sizes } = watched(new Promise<void>((resolve) => (open = resolve)));
    const queue = createReportQueue(through, { batch: 30, room: 1_000 });
    const all = phones(101).map((d) => queue.record(reportOf(d, id)));
    open();
    expect(new Set(await Promise.all(all))).toEqual(new Set(['counted']));
    expect(sizes).toEqual([1, 30, 30, 30, 10]);
    expect((await reader.readCounters(id, 0)).canary).toMatchObject({ devices: 101, predictions: 101 });
  });

  it('of one device are counted one after the other, in the order they came', async () => {
    const id = freshRollout();
    const { through, sizes } = watched();
    const queue = createReportQueue(through);
    const [device, other] = phones(2);
    const answers = await Promise.all([
      ...[1, 2, 2, 3].map((seq) => queue.record(reportOf(device!, id, { seq, predictions: { ok: seq, failed: 0 } }))),
      queue.record(reportOf(other!, id)),
    ]);
    expect(answers).toEqual(['counted', 'counted', 'duplicate', 'counted', 'counted']);
    expect(sizes).toEqual([1, 2, 1, 1]);
    expect((await reader.readCounters(id, 0)).canary).toMatchObject({ devices: 2, predictions: 4 });
  });

  it('are refused with a time to come back where too many wait', async () => {
    const id = freshRollout();
    let open = (): void => undefined;
    const { through } = watched(new Promise<void>((resolve) => (open = resolve)));
    const queue = createReportQueue(through, { batch: 10, room: 5 });
    const under = phones(6).map((d) => queue.record(reportOf(d, id))); // one under way, five wait
    const last = randomUUID();
    await expect(queue.record(reportOf(last, id))).rejects.toMatchObject({
      code: 'unavailable',
      evidence: { retry_after_s: 1 },
    });
    open();
    await Promise.all(under);
    expect(await queue.record(reportOf(last, id))).toBe('counted');
  });
});

describe('one bad report', () => {
  it('is refused, and those beside it count', async () => {
    const id = freshRollout();
    let open = (): void => undefined;
    const { through } = watched(new Promise<void>((resolve) => (open = resolve)));
    const queue = createReportQueue(through);
    const fallen = randomUUID();
    const good = phones(40);
    const first = queue.record(reportOf(fallen, id, { predictions: { ok: 5, failed: 0 } }));
    const falls = queue.record(reportOf(fallen, id, { seq: 2, predictions: { ok: 4, failed: 0 } }));
    const forgotten = queue.record(reportOf(randomUUID(), id, { seq: 2, acked: 1 }));
    // No id of ours; nothing else finds out before the database does.
    const unstorable = queue.record(reportOf('no-uuid', id));
    const counted = good.map((d) => queue.record(reportOf(d, id)));
    const shapeless = queue.record(reportOf(randomUUID(), id, { predictions: { ok: -1, failed: 0 } }));
    const refused = [
      expect(falls).rejects.toMatchObject({ code: 'counter_fell' }),
      expect(unstorable).rejects.toMatchObject({ code: '22P02' }),
      expect(shapeless).rejects.toMatchObject({ code: 'invalid_input' }),
    ];
    open();
    await Promise.all(refused);
    expect(await forgotten).toBe('forgotten');
    expect(new Set(await Promise.all([first, ...counted]))).toEqual(new Set(['counted']));
    expect((await reader.readCounters(id, 0)).canary).toMatchObject({ devices: 41, predictions: 45 });
  });
});

describe('two servers', () => {
  it('count the same devices at once, forwards and backwards, and none waits for ever', async () => {
    const id = freshRollout();
    const fleet = phones(60);
    const desks = [createReportQueue(on), createReportQueue(on)];
    for (let seq = 1; seq <= 12; seq += 1) {
      const both = desks.map((queue, i) => {
        const order = i === 0 ? fleet : [...fleet].reverse();
        // The same reports, as where an answer was lost and the retry went to the other server.
        return order.map((d) =>
          queue.record(
            reportOf(d, id, {
              session: `s${seq % 4}`,
              seq,
              predictions: { ok: seq, failed: 1 },
              latency: { '541': seq },
            }),
          ),
        );
      });
      const answers = (await Promise.all(both.flat())).sort();
      expect(answers).toEqual([...fleet.map(() => 'counted'), ...fleet.map(() => 'duplicate')]);
    }
    // The newest of each of four sessions: 9 + 10 + 11 + 12.
    expect((await reader.readCounters(id, 0)).canary).toEqual({
      ...{ devices: 60, predictions: 60 * 46, errors: 60 * 4, downloads: 0, download_failures: 0 },
      latency: { '541': 60 * 42 },
    });
  });
});

describe('Postgres away', () => {
  it('fails who is under way and who waits, at once, and the next is counted', async () => {
    const id = freshRollout();
    const fleet = phones(50);
    let isAway = true;
    let tries = 0;
    const queue = createReportQueue(
      {
        async query<R extends Record<string, unknown>>(sql: string, values?: readonly unknown[]) {
          tries += 1;
          // A real connection of a real pool, which the server ends while it works.
          if (!isAway) return on.query<R>(sql, values);
          return on.query<R>('SELECT pg_terminate_backend(pg_backend_pid())');
        },
      },
      { batch: 10, room: 100 },
    );
    const settled = await Promise.allSettled(fleet.map((d) => queue.record(reportOf(d, id))));
    expect(settled.map((s) => s.status)).toEqual(fleet.map(() => 'rejected'));
    expect(tries).toBe(1);
    isAway = false;
    expect(new Set(await Promise.all(fleet.map((d) => queue.record(reportOf(d, id)))))).toEqual(new Set(['counted']));
  });
});

describe('the sessions of a device', () => {
  const age = (device: string, session: string, days: number) =>
    log.admin.query(
      `UPDATE ops.report_session SET reported_at = clock_timestamp() - make_interval(days => $3) WHERE device_id = $1 AND session = $2`,
      [device, session, days],
    );
  const known = async (device: string) => {
    const { rows } = await log.admin.query<{ session: string }>(
      'SELECT DISTINCT session FROM ops.report_session WHERE device_id = $1 ORDER BY 1',
      [device],
    );
    return rows.map((r) => r.session);
  };

  it('are forgotten past the newest 64 and 7 days, whole, and then count nothing more', async () => {
    const id = freshRollout();
    const queue = createReportQueue(on);
    const [device, bystander] = phones(2);
    const say = (session: string, more: Partial<Report> = {}) =>
      queue.record(reportOf(device!, id, { session, ...more }));
    const names = Array.from({ length: 70 }, (_, i) => `s${String(i).padStart(2, '0')}`);
    for (const name of names) await say(name);
    await say('s00', { modelId: 'other', seq: 2, acked: 1 });
    await queue.record(reportOf(bystander!, id, { session: 'old' }));
    await age(bystander!, 'old', 400);
    expect(await known(device!)).toEqual(names); // all of the last 7 days

    for (const [i, name] of names.entries()) await age(device!, name, i < 4 ? 100 - i : 6);
    await say('new');
    expect(await known(device!)).toEqual(['new', ...names.slice(4)]);
    expect(await known(bystander!)).toEqual(['old']);

    const before = await reader.readTotals(device!, 'm', '1.1.0');
    expect(before!.predictions.ok).toBe(71);
    for (const modelId of ['m', 'other']) {
      expect(await say('s00', { modelId, seq: 3, acked: 2, predictions: { ok: 50, failed: 0 } })).toBe('forgotten');
    }
    expect(await say('s05', { seq: 2, acked: 1, predictions: { ok: 3, failed: 0 } })).toBe('counted');
    expect((await reader.readTotals(device!, 'm', '1.1.0'))!.predictions.ok).toBe(73);
  });

  it('of the newest 64 are kept however old they are, and one that is in use is kept whole', async () => {
    const id = freshRollout();
    const queue = createReportQueue(on);
    const device = randomUUID();
    const say = (session: string, more: Partial<Report> = {}) =>
      queue.record(reportOf(device, id, { session, ...more }));
    const names = Array.from({ length: 63 }, (_, i) => `s${i}`);
    for (const name of names) await say(name);
    for (const [i, name] of names.entries()) await age(device, name, 500 - i);
    await say('x64');
    expect(await known(device)).toHaveLength(64);

    // Another server is counting the oldest at this moment, of one of its two models.
    await say('s0', { modelId: 'other', seq: 2, acked: 1 });
    await age(device, 's0', 500);
    const session = await log.session();
    await session.query('BEGIN');
    await session.query(
      `SELECT FROM ops.report_session WHERE device_id = $1 AND session = 's0' AND model_id = 'm' FOR UPDATE`,
      [device],
    );
    await say('x65');
    await session.query('COMMIT');
    expect(await known(device)).toContain('s0');
    expect(await say('s0', { seq: 3, acked: 2, predictions: { ok: 1, failed: 1 } })).toBe('counted');
    expect((await reader.readTotals(device, 'm', '1.1.0'))!.predictions).toEqual({ ok: 65, failed: 1 });
  });
});
