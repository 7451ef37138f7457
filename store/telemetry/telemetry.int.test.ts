/** A report counts once, whatever is lost or repeated. Long: the table of what a device may send is one piece. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openLog, type LogFixture } from '../../test/support/log.ts';
import { createDatabase } from '../../test/support/services.ts';
import type { Attribution } from '../../domain/rollout/arms.ts';
import { createPool, type Pool } from '../connect.ts';
import { createToldMarks, type ToldMarks } from '../devices/toldMarks.ts';
import type { Queryable } from '../queryable.ts';
import { migrate, shippedMigrations } from '../migrate.ts';
import { queryableOf } from '../queryable.ts';
import { recordReports } from './recordReports.ts';
import { checkReport, type Recorded, type Report, type ReportingDevice } from './report.ts';
import { createTelemetryReader, type TelemetryReader } from './telemetryReader.ts';

let log: LogFixture;
let pool: Pool;
let on: Queryable;
let reader: TelemetryReader;
let marks: ToldMarks;
beforeAll(async () => {
  log = await openLog();
  pool = createPool({ connectionString: log.appUrl, max: 8 });
  on = queryableOf(pool);
  reader = createTelemetryReader(on);
  marks = createToldMarks(on, () => undefined);
});
afterAll(async () => {
  await pool.end();
  await log.close();
});

const MODEL = 'm-1';
let rollouts = 0;
const freshRollout = () => (rollouts += 1);
const phone = (platform: string | null = 'ios', osVersion: string | null = '17.4'): ReportingDevice => ({
  id: randomUUID(),
  platform,
  osVersion,
});
const report = (seq: number, ok: number, failed: number, more: Partial<Report> = {}): Report => ({
  modelId: MODEL,
  version: '1.1.0',
  session: 'first',
  seq,
  acked: 0,
  predictions: { ok, failed },
  ...more,
});
/** One report alone, as the queue does it. */
async function recordReport(
  sender: Queryable,
  device: ReportingDevice,
  sent: Report,
  attribution: Attribution | undefined,
): Promise<Recorded> {
  checkReport(sent);
  const [recorded] = await recordReports(sender, [{ device, report: sent, attribution }], 0);
  if (recorded instanceof Error) throw recorded;
  return recorded!;
}
const canary = (rolloutId: number, stage = 0): Attribution => ({ rolloutId, stage, arm: 'canary' });
const control = (rolloutId: number, stage = 0): Attribution => ({ rolloutId, stage, arm: 'control' });

describe('a report', () => {
  it('counts by its difference to the last one, device by device', async () => {
    const id = freshRollout();
    const [a, b] = [phone(), phone('android', '14')];
    await recordReport(
      on,
      a,
      report(1, 8, 2, { latency: { '541': 10 }, downloads: { started: 0, ok: 1, failed: 1 } }),
      canary(id),
    );
    await recordReport(
      on,
      a,
      report(2, 10, 5, { latency: { '541': 11, '600': 4 }, downloads: { started: 0, ok: 1, failed: 1 } }),
      canary(id),
    );
    await recordReport(on, b, report(7, 3, 0, { latency: { '541': 3 } }), canary(id));
    await recordReport(on, phone(), { ...report(1, 5, 0), version: '1.0.0' }, control(id));
    const arms = await reader.readCounters(id, 0);
    expect(arms.canary).toEqual({
      devices: 2,
      predictions: 18,
      errors: 5,
      downloads: 2,
      download_failures: 1,
      latency: { '541': 14, '600': 4 },
    });
    expect(arms.control).toMatchObject({ devices: 1, predictions: 5, errors: 0, latency: {} });
    const platforms = await reader.readCountersByPlatform(id, 0);
    expect(Object.keys(platforms)).toEqual(['android', 'ios']);
    expect(platforms['ios']!.canary).toMatchObject({ devices: 1, predictions: 15, errors: 5 });
    expect((await reader.readLeaves(id)).map((l) => `${l.arm} ${l.platform} ${l.osMajor}`)).toEqual([
      'canary android 14',
      'canary ios 17',
      'control ios 17',
    ]);
  });

  it('counts once when its answer was lost and it is sent again', async () => {
    const id = freshRollout();
    const device = phone();
    expect(await recordReport(on, device, report(3, 9, 1), canary(id))).toBe('counted');
    for (const seq of [3, 2, 1])
      expect(await recordReport(on, device, report(seq, 99, 99), canary(id))).toBe('duplicate');
    expect((await reader.readCounters(id, 0)).canary).toMatchObject({ devices: 1, predictions: 10, errors: 1 });
  });

  it('counts only what is new in a stage: what came before it, or outside any rollout, does not', async () => {
    const id = freshRollout();
    const device = phone();
    await recordReport(on, device, report(1, 100, 50), undefined);
    await recordReport(on, device, report(2, 101, 50), canary(id, 0));
    await recordReport(on, device, report(3, 104, 51), canary(id, 1));
    expect((await reader.readCounters(id, 0)).canary).toMatchObject({ devices: 1, predictions: 1, errors: 0 });
    expect((await reader.readCounters(id, 1)).canary).toMatchObject({ devices: 1, predictions: 4, errors: 1 });
  });

  it('counts a device once it predicts: a download alone, or a crash on loading, says nothing of the model', async () => {
    const id = freshRollout();
    const device = phone();
    await recordReport(on, device, report(1, 0, 0, { downloads: { started: 0, ok: 1, failed: 0 } }), canary(id));
    expect((await reader.readCounters(id, 0)).canary).toMatchObject({ devices: 0, downloads: 1, predictions: 0 });
    await recordReport(on, device, report(2, 3, 0, { downloads: { started: 0, ok: 1, failed: 0 } }), canary(id));
    expect((await reader.readCounters(id, 0)).canary).toMatchObject({ devices: 1, downloads: 1, predictions: 3 });
  });

  it('is refused whole where a number fell within its session, naming each member', async () => {
    const id = freshRollout();
    const device = phone();
    const full = {
      latency: { '5': 3, '541': 24 },
      downloads: { started: 3, ok: 2, failed: 1 },
      loads: { ok: 4, failed: 2 },
      crashes: 2,
      fallbacks: 3,
      labelled: { correct: 5, total: 9 },
    };
    await recordReport(on, device, report(5, 20, 4, full), canary(id));
    const before = await reader.readCounters(id, 0);
    for (const [fallen, pointer, by] of [
      [report(6, 19, 4, full), '/predictions/ok', 1],
      [report(6, 20, 3, full), '/predictions/failed', 1],
      [report(6, 90, 90, { ...full, downloads: { started: 2, ok: 2, failed: 1 } }), '/downloads/started', 1],
      [report(6, 90, 90, { ...full, downloads: { started: 3, ok: 1, failed: 1 } }), '/downloads/ok', 1],
      [report(6, 90, 90, { ...full, downloads: { started: 3, ok: 2, failed: 0 } }), '/downloads/failed', 1],
      [report(6, 90, 90, { ...full, loads: { ok: 3, failed: 2 } }), '/loads/ok', 1],
      [report(6, 90, 90, { ...full, loads: { ok: 4, failed: 1 } }), '/loads/failed', 1],
      [report(6, 90, 90, { ...full, crashes: 1 }), '/crashes', 1],
      [report(6, 90, 90, { ...full, fallbacks: 2 }), '/fallbacks', 1],
      [report(6, 90, 90, { ...full, labelled: { correct: 4, total: 9 } }), '/labelled/correct', 1],
      [report(6, 90, 90, { ...full, labelled: { correct: 5, total: 8 } }), '/labelled/total', 1],
      [report(6, 90, 90, { ...full, latency: { '5': 2, '541': 24 } }), '/latency/5', 1],
      [report(6, 90, 90, { ...full, latency: { '541': 24 } }), '/latency/5', 3],
    ] as const) {
      await expect(recordReport(on, device, fallen, canary(id)), pointer).rejects.toMatchObject({
        code: 'counter_fell',
        evidence: { errors: [{ pointer, detail: expect.stringContaining(`lower by ${by} `) }] },
      });
    }
    expect(await reader.readCounters(id, 0)).toEqual(before);
    // The refused sequence number was not used up.
    expect(await recordReport(on, device, report(6, 21, 4, full), canary(id))).toBe('counted');
  });

  it('adds the sessions of a device up, and keeps every number of them', async () => {
    const id = freshRollout();
    const device = phone();
    const all = (session: string, k: number) =>
      report(k, 10 * k, k, {
        session,
        downloads: { started: 3 * k, ok: 2 * k, failed: k },
        loads: { ok: 4 * k, failed: 5 * k },
        latency: { '541': 11 * k },
        crashes: 6 * k,
        fallbacks: 7 * k,
        labelled: { correct: 8 * k, total: 9 * k },
      });
    for (const session of ['a', 'b']) {
      await recordReport(on, device, all(session, 1), canary(id));
      await recordReport(on, device, all(session, 3), canary(id));
    }
    expect(await reader.readTotals(device.id, MODEL, '1.1.0')).toEqual({
      predictions: { ok: 60, failed: 6 },
      downloads: { started: 18, ok: 12, failed: 6 },
      loads: { ok: 24, failed: 30 },
      crashes: 36,
      fallbacks: 42,
      labelled: { correct: 48, total: 54 },
    });
    expect((await reader.readCounters(id, 0)).canary).toEqual({
      devices: 1,
      predictions: 66,
      errors: 6,
      downloads: 18,
      download_failures: 6,
      latency: { '541': 66 },
    });
  });

  it('of two models of a session may come in any order, whichever way the device counts its sequence', async () => {
    const device = phone();
    const of = (modelId: string, seq: number, acked: number, ok: number) =>
      recordReport(on, device, { ...report(seq, ok, 0), modelId, session: 'two', acked }, undefined);
    expect(await of('x', 2, 0, 5)).toBe('counted');
    expect(await of('y', 1, 0, 7)).toBe('counted');
    expect(await of('z', 3, 2, 9)).toBe('counted'); // never reported, but its session is known
    expect(await of('y', 1, 0, 7)).toBe('duplicate');
    const totals = await Promise.all(['x', 'y', 'z'].map((m) => reader.readTotals(device.id, m, '1.1.0')));
    expect(totals.map((t) => t?.predictions.ok)).toEqual([5, 7, 9]);
  });

  it('of a session that is forgotten counts nothing, and leaves nothing', async () => {
    const id = freshRollout();
    const device = phone();
    const forgotten = report(9, 100, 50, { session: 'long-gone', acked: 8 });
    expect(await recordReport(on, device, forgotten, canary(id))).toBe('forgotten');
    expect(await recordReport(on, device, { ...forgotten, seq: 10 }, canary(id))).toBe('forgotten');
    expect((await reader.readCounters(id, 0)).canary.devices).toBe(0);
    expect(await reader.readTotals(device.id, MODEL, '1.1.0')).toBeUndefined();
    expect(await reader.devicesOnVersion(MODEL, '1.1.0')).toMatchObject({ told: 0 });
  });

  it('keeps what an absent member said before', async () => {
    const id = freshRollout();
    const device = phone();
    await recordReport(
      on,
      device,
      report(1, 1, 0, { latency: { '5': 1 }, downloads: { started: 0, ok: 1, failed: 2 } }),
      canary(id),
    );
    expect(await recordReport(on, device, report(2, 2, 0), canary(id))).toBe('counted');
    await recordReport(
      on,
      device,
      report(3, 3, 0, { latency: { '5': 2 }, downloads: { started: 0, ok: 2, failed: 2 } }),
      canary(id),
    );
    expect((await reader.readCounters(id, 0)).canary).toMatchObject({
      downloads: 4,
      download_failures: 2,
      latency: { '5': 2 },
    });
  });

  it('fills a sum to its bound and no further, however many sessions a device begins', async () => {
    const id = freshRollout();
    const device = phone();
    const all = { latency: { '541': 2 ** 40 }, downloads: { started: 2 ** 40, ok: 2 ** 40, failed: 2 ** 40 } };
    for (const session of ['a', 'b', 'c']) {
      await recordReport(on, device, report(1, 2 ** 40, 2 ** 40, { ...all, session }), canary(id));
    }
    const full = { predictions: 2 ** 40, errors: 2 ** 40, downloads: 2 ** 40, download_failures: 2 ** 40 };
    expect((await reader.readCounters(id, 0)).canary).toEqual({ devices: 1, ...full, latency: { '541': 2 ** 40 } });
    expect(await reader.readTotals(device.id, MODEL, '1.1.0')).toMatchObject({
      predictions: { ok: 2 ** 40, failed: 2 ** 40 },
      downloads: { started: 2 ** 40 },
    });
  });

  it('is refused where its numbers are no counts, naming each', async () => {
    const id = freshRollout();
    for (const [bad, pointer] of [
      [report(1.5, 1, 1), '/seq'],
      [report(0, 1, 1), '/seq'],
      [report(2, 1, 1, { acked: -1 }), '/acked'],
      [report(2, 1, 1, { acked: 3 }), '/acked'],
      [report(1, 1, 1, { session: '' }), '/session'],
      [report(1, 1, 1, { session: 'x'.repeat(65) }), '/session'],
      [report(1, 1, 1, { loads: { ok: 0, failed: 0.5 } }), '/loads/failed'],
      [report(1, 1, 1, { crashes: -1 }), '/crashes'],
      [report(1, 1, 1, { fallbacks: Number.POSITIVE_INFINITY }), '/fallbacks'],
      [report(1, 1, 1, { labelled: { correct: 2, total: 1 } }), '/labelled/correct'],
      [report(1, -1, 0), '/predictions/ok'],
      [report(1, 1, Number.NaN), '/predictions/failed'],
      [report(1, 1, 0, { downloads: { started: 0, ok: 2 ** 41, failed: 0 } }), '/downloads/ok'],
      [report(1, 1, 0, { latency: { '9999': 1 } }), '/latency/9999'],
      [report(1, 1, 0, { latency: { '5': 0.5 } }), '/latency/5'],
    ] as const) {
      await expect(recordReport(on, phone(), bad, canary(id))).rejects.toMatchObject({
        code: 'invalid_input',
        evidence: { errors: [{ pointer }] },
      });
    }
    expect((await reader.readCounters(id, 0)).canary.devices).toBe(0);
  });

  it('puts odd platforms and versions into one leaf, not one each', async () => {
    const id = freshRollout();
    for (const [platform, os] of [
      [null, null],
      ['x'.repeat(40), 'Mozilla/5.0 (X11; Linux)'],
      ['<script>', 'macos'],
    ] as const) {
      await recordReport(on, phone(platform, os), report(1, 1, 0), canary(id));
    }
    expect((await reader.readLeaves(id)).map((l) => [l.platform, l.osMajor, l.counters.devices])).toEqual([
      ['other', 'unknown', 2],
      ['unknown', 'unknown', 1],
    ]);
  });
});

describe('counting once', () => {
  it('holds when devices report at once, and each of them several times at once', async () => {
    const id = freshRollout();
    const fleet = Array.from({ length: 40 }, (_, i) => phone(i % 2 === 0 ? 'ios' : 'android', '17'));
    const sendings = fleet.flatMap((device) =>
      // Out of order and doubled: only rising sequence numbers count, and the last one always does.
      [2, 1, 3, 3, 5, 4, 5].map((seq) =>
        recordReport(
          on,
          device,
          report(seq, seq * 3, seq, { latency: { '500': seq * 2, '700': seq * 2 } }),
          canary(id),
        ),
      ),
    );
    await Promise.all(sendings);
    expect((await reader.readCounters(id, 0)).canary).toEqual({
      devices: 40,
      predictions: 40 * 20,
      errors: 40 * 5,
      downloads: 0,
      download_failures: 0,
      latency: { '500': 400, '700': 400 },
    });
  });

  it('holds when the connection dies before the commit, and when it dies after it', async () => {
    const id = freshRollout();
    const device = phone();
    const kill = async (pid: number) => {
      await log.admin.query('SELECT pg_terminate_backend($1)', [pid]);
    };
    const send = async (commits: boolean) => {
      const session = await log.session();
      const { rows } = await session.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
      await session.query('BEGIN');
      const tx: Queryable = {
        async query<R extends Record<string, unknown>>(sql: string, values?: readonly unknown[]) {
          const answer = await session.query<R>(sql, values && [...values]);
          return { rows: answer.rows, rowCount: answer.rowCount ?? 0 };
        },
      };
      const recorded = await recordReport(tx, device, report(1, 7, 3), canary(id));
      if (commits) await session.query('COMMIT');
      await kill(rows[0]!.pid);
      return recorded;
    };
    expect(await send(false)).toBe('counted');
    expect((await reader.readCounters(id, 0)).canary.devices).toBe(0);
    expect(await send(true)).toBe('counted');
    expect(await recordReport(on, device, report(1, 7, 3), canary(id))).toBe('duplicate');
    expect((await reader.readCounters(id, 0)).canary).toMatchObject({ devices: 1, predictions: 10, errors: 3 });
    const { rows } = await log.admin.query('SELECT seq FROM ops.report_session WHERE device_id = $1', [device.id]);
    expect(rows).toEqual([{ seq: '1' }]);
  });

  it('holds over random kills of the sender, which tries each report until it is answered', async () => {
    const id = freshRollout();
    const fleet = Array.from({ length: 12 }, () => phone());
    const small = createPool({ connectionString: log.appUrl, max: 3, name: 'victim' });
    const sender = queryableOf(small);
    let isDone = false;
    let kills = 0;
    const killer = (async () => {
      while (!isDone) {
        const { rowCount } = await log.admin.query(
          `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE application_name = 'edgeml victim' AND datname = current_database() ORDER BY random() LIMIT 1`,
        );
        kills += rowCount ?? 0;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    })();
    await Promise.all(
      fleet.map(async (device) => {
        for (let seq = 1; seq <= 15; seq += 1) {
          const next = report(seq, seq * 4, seq, { latency: { '541': seq * 5 } });
          for (let isAnswered = false; !isAnswered;) {
            isAnswered = await recordReport(sender, device, next, canary(id)).then(
              () => true,
              () => false,
            );
          }
        }
      }),
    );
    isDone = true;
    await killer;
    await small.end();
    expect(kills).toBeGreaterThan(0);
    expect((await reader.readCounters(id, 0)).canary).toMatchObject({
      devices: 12,
      predictions: 12 * 15 * 5,
      errors: 12 * 15,
      latency: { '541': 12 * 15 * 5 },
    });
  });
});

describe('sums that had passed 2^53', () => {
  it('can be read again after the migration that bounds them', async () => {
    const old = await createDatabase({ migrated: false });
    const pools = [old.adminUrl, old.appUrl].map((connectionString) => createPool({ connectionString, max: 1 }));
    try {
      await migrate(
        old,
        shippedMigrations().filter((m) => m.name < '0031'),
      );
      const [admin, app] = pools.map(queryableOf);
      await admin!.query(
        `INSERT INTO ops.telemetry_counter (rollout_id, stage, arm, platform, os_major, shard, devices, predictions, errors)
         VALUES (7, 0, 'canary', 'ios', '17', 1, 3, 9007199254740993, 5), (7, 0, 'canary', 'ios', '17', 2, 1, 10, 1)`,
      );
      await admin!.query(
        `INSERT INTO ops.telemetry_latency VALUES (7, 0, 'canary', 'ios', '17', 1, 541, 9007199254740993)`,
      );
      const readings = createTelemetryReader(app!);
      await expect(readings.readCounters(7, 0)).rejects.toThrow('not a safe integer');
      await migrate(old);
      expect((await readings.readCounters(7, 0)).canary).toMatchObject({
        ...{ devices: 4, predictions: 2 ** 40 + 10, errors: 6 },
        latency: { '541': 2 ** 40 },
      });
    } finally {
      await Promise.all(pools.map((p) => p.end()));
      await old.drop();
    }
  });
});

describe('what devices reported before there were sessions', () => {
  it('is where their totals begin, and stages keep what they counted', async () => {
    const old = await createDatabase({ migrated: false });
    const pools = [old.adminUrl, old.appUrl].map((connectionString) => createPool({ connectionString, max: 1 }));
    try {
      await migrate(
        old,
        shippedMigrations().filter((m) => m.name < '0100'),
      );
      const [admin, app] = pools.map(queryableOf);
      const device = phone();
      await admin!.query(
        `SELECT ops.record_report($1, $2, '1.1.0', 5, 20, 4, 2, 1, '{"541": 24}', 7, 0, 'canary', 'ios', '17')`,
        [device.id, MODEL],
      );
      await migrate(old);
      const readings = createTelemetryReader(app!);
      const stage = { devices: 1, predictions: 24, errors: 4, downloads: 3, download_failures: 1 };
      expect((await readings.readCounters(7, 0)).canary).toEqual({ ...stage, latency: { '541': 24 } });
      // The app was updated, so a new process reports.
      await recordReport(app!, device, report(1, 2, 1, { crashes: 1 }), { rolloutId: 7, stage: 0, arm: 'canary' });
      expect((await readings.readCounters(7, 0)).canary).toMatchObject({ devices: 1, predictions: 27, errors: 5 });
      expect(await readings.readTotals(device.id, MODEL, '1.1.0')).toMatchObject({
        ...{ predictions: { ok: 22, failed: 5 }, downloads: { started: 0, ok: 2, failed: 1 } },
        crashes: 1,
      });
    } finally {
      await Promise.all(pools.map((p) => p.end()));
      await old.drop();
    }
  });
});

describe('following devices back', () => {
  it('counts those that were told the version and last reported it', async () => {
    const modelId = randomUUID();
    const fleet = Array.from({ length: 4 }, () => phone());
    const tell = async ({ id: deviceId }: ReportingDevice, version: string) => {
      marks.note({ deviceId, modelId, version, at: new Date() });
      await marks.flush();
    };
    const says = (device: ReportingDevice, version: string, seq: number) =>
      recordReport(on, device, { ...report(seq, 1, 0), modelId, version }, undefined);
    for (const device of fleet) await tell(device, '1.1.0');
    for (const device of fleet.slice(0, 3)) await says(device, '1.1.0', 1);
    await says(phone(), '1.1.0', 1); // never told
    expect(await reader.devicesOnVersion(modelId, '1.1.0')).toEqual({ told: 4, outstanding: 3, back: 1 });

    for (const device of fleet) await tell(device, '1.0.0');
    await says(fleet[0]!, '1.0.0', 1);
    await says(fleet[0]!, '1.1.0', 1); // a late repeat is no news
    expect(await reader.devicesOnVersion(modelId, '1.1.0')).toEqual({ told: 4, outstanding: 2, back: 2 });

    const rolloutId = 900_000 + freshRollout();
    expect(await reader.devicesStillOn(rolloutId)).toEqual({ told: 0, outstanding: 0, back: 0 });
    await log.store.append({
      commandId: randomUUID(),
      commandHash: null,
      actor: { kind: 'system', id: 'test' },
      correlationId: null,
      causationId: null,
      expected: new Map([[`rollout-${rolloutId}`, 'none']]),
      events: [
        {
          id: randomUUID(),
          stream: `rollout-${rolloutId}`,
          machine: 'rollout@1',
          schemaVersion: 1,
          fact: {
            type: 'RolloutCreated',
            data: {
              model_id: modelId,
              version: '1.1.0',
              previous: '1.0.0',
              spec: {
                version: '1.1.0',
                stages: [{ percent: 100, ramp: '0s', min_bake: '1s', max_bake: '1s' }],
                look: '1s',
                policy: { rules: [] },
                on_regressed: 'rollback',
              },
              spec_sha: '0'.repeat(64),
            },
          },
        },
      ],
    });
    expect(await reader.devicesStillOn(rolloutId)).toEqual({ told: 4, outstanding: 2, back: 2 });
  });
});

describe('the plan of hot reads', () => {
  it('reads a stage by its key, with a thousand rollouts beside it', async () => {
    await log.admin.query(
      `INSERT INTO ops.telemetry_counter (rollout_id, stage, arm, platform, os_major, shard)
       SELECT 10000 + r, s, 'canary', 'ios', '17', h FROM generate_series(1, 1000) r, generate_series(0, 2) s, generate_series(0, 15) h`,
    );
    await log.admin.query('ANALYZE ops.telemetry_counter');
    const { rows } = await log.admin.query<{ 'QUERY PLAN': string }>(
      'EXPLAIN SELECT sum(errors) FROM ops.telemetry_counter c WHERE c.rollout_id = 10500 AND c.stage = 1',
    );
    expect(rows.map((r) => r['QUERY PLAN']).join('\n')).toMatch(/telemetry_counter_pkey/);
  });
});
