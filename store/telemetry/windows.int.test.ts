/** What the judge reads is what devices sent: windows in the store against a second fold of the same history. */
import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { latencyBucket } from '../../domain/rollout/latency.ts';
import {
  METRICS,
  sampleBit,
  uniformOf,
  watchReport,
  watchTold,
  type MetricEvidence,
  type WatchedStage,
} from '../../domain/rollout/verdict/index.ts';
import { drawsFrom } from '../../test/support/draws.ts';
import { openLog, type LogFixture } from '../../test/support/log.ts';
import { createPool, type Pool } from '../connect.ts';
import { queryableOf } from '../queryable.ts';
import { createEvidenceReader } from './evidenceReader.ts';
import { openSilence } from './openSilence.ts';
import { recordReports } from './recordReports.ts';
import type { AttributedReport, Report } from './report.ts';
import { sweepWindows } from './sweepWindows.ts';
import { createSecondFold, type Moment, type Phone } from './windows.fixture.ts';

let log: LogFixture;
let pools: Pool[];
/** Two servers. */
const on = (server: number) => queryableOf(pools[server % 2]!);
beforeAll(async () => {
  log = await openLog();
  pools = [0, 1].map(() => createPool({ connectionString: log.appUrl, max: 4 }));
});
afterAll(async () => {
  await Promise.all(pools.map((pool) => pool.end()));
  await log.close();
});

const HOUR = 3_600_000;
const ALL = METRICS.map((row) => row.name);
let rollouts = 0;
const stageOf = (more: Partial<WatchedStage> = {}): WatchedStage => ({
  rolloutId: (rollouts += 1),
  stage: 1,
  evidenceStage: 0,
  to: 2_500,
  rampMs: 0,
  minBakeMs: 4 * HOUR,
  silenceAfterMs: 6 * HOUR,
  measured: ALL,
  frozenQ: { ios: 50_000 },
  slower: 1.1,
  accuracy: 930_000,
  ...more,
});
const keyOf = ({ rolloutId, stage, evidenceStage }: WatchedStage) => ({ rolloutId, stage, evidenceStage });
/** All segments that the phones of this file are in. */
const SEGMENTS = ['ios', 'android'].flatMap((platform) =>
  ['14', '17'].flatMap((os) => [`platform:${platform}`, `os:${platform} ${os}`]),
);
const question = (key: ReturnType<typeof keyOf>) => ({
  ...key,
  clockMs: 0,
  segments: [...new Set(SEGMENTS), 'app:3.2', 'app:3.10', 'region:eu', 'region:us'],
});
const phoneOf = (more: Partial<Phone> = {}): Phone => ({
  id: randomUUID(),
  arm: 'canary',
  slot: 0,
  leaf: { platform: 'ios', osMajor: '17', app: '3.2', region: 'eu' },
  ...more,
});
const ALL_IN: Moment = { clockMs: HOUR, width: 2_500, count: { told: 1, active: 1 } };
const at = (clockMs: number): Moment => ({ ...ALL_IN, clockMs });
const reportOf = ({ arm }: Phone, seq: number, more: Partial<Report> = {}): Report => ({
  modelId: 'm',
  version: arm === 'canary' ? '2.0.0' : '1.0.0',
  session: 'first',
  seq,
  acked: 0,
  ...more,
});
const sent = (stage: WatchedStage, phone: Phone, report: Report, moment: Moment): AttributedReport => ({
  device: { id: phone.id, platform: phone.leaf.platform, osVersion: phone.leaf.osMajor },
  report,
  attribution: { rolloutId: stage.rolloutId, stage: stage.stage, arm: phone.arm },
  watch: watchReport(stage, { ...phone, ...moment }, moment.count),
});

/** One server's way from a phone to what the judge reads. */
function serverOf(stage: WatchedStage) {
  const key = keyOf(stage);
  const seqs = new Map<string, number>();
  return {
    async report(phone: Phone, more: Partial<Report>, moment: Moment = ALL_IN): Promise<void> {
      const seq = (seqs.get(phone.id) ?? 0) + 1;
      seqs.set(phone.id, seq);
      expect(await recordReports(on(0), [sent(stage, phone, reportOf(phone, seq, more), moment)], 0)).toEqual([
        'counted',
      ]);
    },
    told: (phone: Phone, moment: Moment, now = new Date()) => {
      const watch = watchTold(stage, { ...phone, ...moment });
      return openSilence(on(0), watch ? [{ deviceId: phone.id, at: now, watch }] : [], 0);
    },
    sweep: (clock: { ranMs: number; since: number }, now: number, page?: number) =>
      sweepWindows(on(1), { ...key, clock, silenceAfterMs: stage.silenceAfterMs }, now, page),

    async metric(name: string): Promise<Pick<MetricEvidence, 'whole' | 'opened' | 'ended'>> {
      const { evidence } = await createEvidenceReader(on(1)).readStage(question(key));
      const { whole, opened, ended } = evidence.find((m) => m.metric === name)!;
      return { whole, opened, ended };
    },
  };
}

describe('the same history, folded twice', () => {
  it('gives the same evidence, whatever devices send, in whatever order, to whichever server', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 2 ** 30 }), async (seed) => {
        const draw = drawsFrom(seed);
        const upTo = (n: number) => Math.floor(draw() * n);
        const oneOf = <T>(all: readonly T[]): T => all[upTo(all.length)]!;
        const stage = stageOf({
          measured: ALL.filter(() => draw() < 0.9),
          accuracy: oneOf([930_000, null]),
          evidenceStage: upTo(3),
        });
        const fold = createSecondFold(stage);
        const reader = createEvidenceReader(on(0));
        const key = keyOf(stage);
        const phones = Array.from({ length: 40 }, (): Phone & { readonly rate: number } => ({
          id: randomUUID(),
          arm: oneOf(['canary', 'control']),
          slot: upTo(10_000),
          leaf: {
            platform: oneOf(['ios', 'android']),
            osMajor: oneOf(['14', '17', null]),
            app: oneOf(['3.2', '3.10', null]),
            region: oneOf(['eu', 'us']),
          },
          rate: oneOf([0, 0.02, 0.3]),
        }));
        /** The newest word of each phone's process. */
        const processes = new Map<string, Report>();
        const next = (phone: Phone & { readonly rate: number }): Report => {
          const old = processes.get(phone.id);
          const isFresh = !old || draw() < 0.3;
          const last: Report = isFresh ? reportOf(phone, 0, { session: randomUUID() }) : old;
          const made = oneOf([0, 1, 7, 19, 20, 60]);
          const failed = Array.from({ length: made }, () => draw() < phone.rate).filter(Boolean).length;
          const event = () => (draw() < 0.15 ? 1 : 0);
          const bucket = String(latencyBucket(oneOf([20_000, 49_000, 52_000, 56_000, 90_000])));
          const right = upTo(made + 1);
          const grown: Report = {
            ...last,
            seq: last.seq + 1 + upTo(2),
            predictions: {
              ok: (last.predictions?.ok ?? 0) + made - failed,
              failed: (last.predictions?.failed ?? 0) + failed,
            },
            crashes: (last.crashes ?? 0) + event(),
            fallbacks: (last.fallbacks ?? 0) + (draw() < 0.05 ? 1 : 0),
            loads: { ok: (last.loads?.ok ?? 0) + event(), failed: (last.loads?.failed ?? 0) + event() },
            downloads: {
              started: (last.downloads?.started ?? 0) + event(),
              ok: (last.downloads?.ok ?? 0) + event(),
              failed: (last.downloads?.failed ?? 0) + event(),
            },
            latency: { ...last.latency, [bucket]: (last.latency?.[bucket] ?? 0) + made },
            ...(draw() < 0.5
              ? {
                  labelled: {
                    correct: (last.labelled?.correct ?? 0) + right,
                    total: (last.labelled?.total ?? 0) + made,
                  },
                }
              : {}),
          };
          processes.set(phone.id, grown);
          return grown;
        };
        let clockMs = 0;
        for (let round = 0; round < 14; round += 1) {
          clockMs += upTo(70 * 60_000);
          const told = upTo(40);
          const moment: Moment = {
            clockMs,
            width: Math.min(2_500, 400 * (round + 1)),
            count: { told, active: upTo(told + 3) },
          };
          const counted = { ...moment, count: { told, active: Math.min(told, moment.count.active) } };
          const asking = phones.filter(() => draw() < 0.4);
          const marks = asking.flatMap((phone) => {
            fold.told(phone, moment);
            const watch = watchTold(stage, { ...phone, ...moment });
            return watch ? [{ deviceId: phone.id, at: new Date(), watch }] : [];
          });
          const batch = phones
            .filter(() => draw() < 0.6)
            .map((phone) => {
              // An old word that comes late is a duplicate in both folds.
              const report = draw() < 0.1 ? (processes.get(phone.id) ?? next(phone)) : next(phone);
              fold.report(phone, report, counted);
              return sent(stage, phone, report, moment);
            });
          const half = upTo(batch.length);
          const isRepeated = draw() < 0.4;
          await Promise.all([
            openSilence(on(0), marks, 0),
            openSilence(on(1), marks, 5),
            recordReports(on(0), batch.slice(0, half), 0),
            recordReports(on(1), batch.slice(half), 5),
            // The same reports, sent to the other server because the answer was late.
            ...(isRepeated
              ? [recordReports(on(1), batch.slice(0, half), 5), recordReports(on(0), batch.slice(half), 0)]
              : []),
          ]);
          if (draw() < 0.3) {
            // The clock was resumed just now, so everyone counts as heard.
            const since = Date.now() + HOUR;
            const swept = { ...key, clock: { ranMs: clockMs, since }, silenceAfterMs: stage.silenceAfterMs };
            await Promise.all([0, 1].map((server) => sweepWindows(on(server), swept, since, 7)));
            fold.sweep(clockMs, () => clockMs);
          }
          expect((await reader.readStage(question(key))).evidence).toEqual(fold.evidence());
        }
        const since = Date.now() + HOUR;
        const swept = { ...key, clock: { ranMs: clockMs, since }, silenceAfterMs: stage.silenceAfterMs };
        await sweepWindows(on(0), swept, since + stage.silenceAfterMs);
        fold.sweep(clockMs + stage.silenceAfterMs, () => clockMs);
        const reading = await reader.readStage(question(key));
        expect(reading.evidence).toEqual(fold.evidence());
        for (const { metric, segments } of reading.evidence) {
          for (const { segment } of segments) {
            expect(reading.restOf(metric, segment)).toEqual(fold.restOf(metric, segment));
          }
        }
      }),
      { numRuns: 6 },
    );
  }, 300_000);
});

describe('a window', () => {
  it('begins after the report that opens it, and ends at the first with enough', async () => {
    const stage = stageOf();
    const server = serverOf(stage);
    const phone = phoneOf();
    await server.report(phone, { predictions: { ok: 0, failed: 50 } });
    expect(await server.metric('errors')).toMatchObject({ opened: [1, 0], ended: [0, 0] });
    await server.report(phone, { predictions: { ok: 19, failed: 50 } });
    expect(await server.metric('errors')).toMatchObject({ ended: [0, 0] });
    await server.report(phone, { predictions: { ok: 20, failed: 50 } });
    expect(await server.metric('errors')).toMatchObject({ ended: [1, 0], whole: { x: 0 } });
    // What comes later is no second bit.
    await server.report(phone, { predictions: { ok: 20, failed: 90 } });
    expect(await server.metric('errors')).toMatchObject({ opened: [1, 0], ended: [1, 0], whole: { x: 0 } });
  });

  it('of control opens in step with canary, and what it missed before does not count', async () => {
    const server = serverOf(stageOf());
    const phone = phoneOf({ arm: 'control', slot: 4_000 });
    const half = (active: number): Moment => ({ ...ALL_IN, width: 1_250, count: { told: 100, active } });
    await server.report(phone, { predictions: { ok: 20, failed: 20 } }, half(0));
    await server.report(phone, { predictions: { ok: 40, failed: 40 } }, half(80));
    expect(await server.metric('errors')).toMatchObject({ opened: [0, 0] });
    await server.report(phone, { predictions: { ok: 60, failed: 60 } }, half(81));
    await server.report(phone, { predictions: { ok: 80, failed: 60 } }, half(0));
    expect(await server.metric('errors')).toMatchObject({ opened: [0, 1], ended: [0, 1], whole: { y: 0 } });
  });

  it('of crash counts the report that opens it in both arms, and only after a finished prediction', async () => {
    const server = serverOf(stageOf());
    const [early, late, control] = [phoneOf(), phoneOf(), phoneOf({ arm: 'control' })];
    await server.report(early, { crashes: 1 });
    await server.report(late, { predictions: { ok: 1, failed: 0 }, fallbacks: 1 });
    // Of control, what came before the report before this one is old.
    await server.report(
      control,
      { predictions: { ok: 1, failed: 0 }, crashes: 3 },
      { ...ALL_IN, count: { told: 1, active: 0 } },
    );
    await server.report(control, { predictions: { ok: 2, failed: 0 }, crashes: 3 });
    expect(await server.metric('crash')).toMatchObject({ opened: [2, 1], whole: { x: 1, y: 0 } });
    expect(await server.metric('install')).toMatchObject({ opened: [2, 0], ended: [2, 0], whole: { x: 1 } });
    await server.report(control, { predictions: { ok: 2, failed: 0 }, crashes: 4 });
    await server.report(early, { predictions: { ok: 1, failed: 0 }, crashes: 1 });
    expect(await server.metric('crash')).toMatchObject({ whole: { x: 1, y: 1 } });
    await server.report(early, { predictions: { ok: 1, failed: 0 }, crashes: 2 });
    expect(await server.metric('crash')).toMatchObject({ ended: [2, 1], whole: { x: 2, y: 1 } });
  });

  it('opens a second time for who was watched before, once half the bake is over', async () => {
    const server = serverOf(stageOf());
    const [early, tardy] = [phoneOf(), phoneOf()];
    await server.report(early, { predictions: { ok: 1, failed: 0 } }, at(2 * HOUR - 1));
    expect(await server.metric('errors_late')).toMatchObject({ opened: [0, 0] });
    await server.report(early, { predictions: { ok: 30, failed: 0 } }, at(2 * HOUR));
    await server.report(tardy, { predictions: { ok: 30, failed: 0 } }, at(2 * HOUR));
    await server.report(early, { predictions: { ok: 30, failed: 30 } }, at(3 * HOUR));
    await server.report(tardy, { predictions: { ok: 30, failed: 30 } }, at(3 * HOUR));
    expect(await server.metric('errors_late')).toMatchObject({ opened: [1, 0], ended: [1, 0], whole: { x: 1 } });
    expect(await server.metric('errors')).toMatchObject({ opened: [2, 0], whole: { x: 1 } });
  });

  it('of the next evidence stage is another one; the old one stands', async () => {
    const first = stageOf();
    const second = { ...first, evidenceStage: 1 };
    const phone = phoneOf();
    await serverOf(first).report(phone, { predictions: { ok: 0, failed: 0 } });
    const moved = serverOf(second);
    await moved.report(phone, { session: 's-2', predictions: { ok: 0, failed: 40 } });
    expect(await moved.metric('errors')).toMatchObject({ opened: [1, 0], ended: [0, 0] });
    await moved.report(phone, { session: 's-2', predictions: { ok: 0, failed: 80 } });
    expect(await moved.metric('errors')).toMatchObject({ ended: [1, 0], whole: { x: 1 } });
    expect(await serverOf(first).metric('errors')).toMatchObject({ opened: [1, 0], ended: [0, 0] });
  });

  it('of a transfer ends with its outcome, or bad when it takes too long', async () => {
    const server = serverOf(stageOf());
    const [quick, slow, failing] = [phoneOf(), phoneOf(), phoneOf()];
    await server.report(quick, { downloads: { started: 1, ok: 1, failed: 0 } });
    await server.report(slow, { downloads: { started: 1, ok: 0, failed: 0 } });
    await server.report(failing, { downloads: { started: 2, ok: 1, failed: 1 } });
    expect(await server.metric('download')).toMatchObject({ opened: [3, 0], ended: [2, 0], whole: { x: 1 } });
    const since = Date.now();
    const overdue = 7 * HOUR; // six after it began
    await server.sweep({ ranMs: overdue - 1, since }, since);
    expect(await server.metric('download')).toMatchObject({ ended: [2, 0] });
    await server.sweep({ ranMs: overdue, since }, since);
    await server.report(slow, { downloads: { started: 1, ok: 1, failed: 0 } }, at(overdue));
    expect(await server.metric('download')).toMatchObject({ ended: [3, 0], whole: { x: 2 } });
  });
});

describe('silence', () => {
  it('is a device that was told and not heard again: neither a report, nor a heartbeat, nor a question', async () => {
    const server = serverOf(stageOf());
    const began = Date.now() - 7 * HOUR;
    const [gone, reporting, asking, beating] = [phoneOf(), phoneOf(), phoneOf(), phoneOf()];
    for (const phone of [gone, reporting, asking, beating]) await server.told(phone, at(0), new Date(began));
    const late = phoneOf({ arm: 'control', slot: 9_999 });
    await server.told(late, { ...ALL_IN, width: 1_000 });
    await log.admin.query(
      `INSERT INTO ops.devices (id, org_id, identifier, last_seen_at) VALUES ($1, 'org', 'x', clock_timestamp() - interval '2 hours')`,
      [beating.id],
    );
    await server.report(reporting, { predictions: { ok: 1, failed: 0 } });
    await server.told(asking, at(5 * HOUR), new Date(began + 5 * HOUR));
    expect(await server.metric('silence')).toMatchObject({ opened: [4, 0], ended: [0, 0] });
    // The clock never stood.
    await server.sweep({ ranMs: 0, since: began }, began + 7 * HOUR, 1);
    expect(await server.metric('silence')).toMatchObject({ opened: [4, 0], ended: [4, 0], whole: { x: 1 } });
    await server.sweep({ ranMs: 0, since: began }, began + 11 * HOUR - 1);
    expect(await server.metric('silence')).toMatchObject({ whole: { x: 1 } });
    await server.sweep({ ranMs: 0, since: began }, began + 11 * HOUR);
    expect(await server.metric('silence')).toMatchObject({ ended: [4, 0], whole: { x: 2 } });
  });

  it('does not pass while the clock stands, and begins anew for everyone when it goes on', async () => {
    const stage = stageOf();
    const server = serverOf(stage);
    const began = Date.now() - 20 * HOUR;
    await server.told(phoneOf(), at(0), new Date(began));
    const key = { rolloutId: stage.rolloutId, stage: 1, evidenceStage: 0, silenceAfterMs: stage.silenceAfterMs };
    expect(await sweepWindows(on(0), { ...key, clock: { ranMs: 5 * HOUR, since: null } }, Date.now())).toBe(0);
    const resumed = { ranMs: 5 * HOUR, since: began + 12 * HOUR };
    await server.sweep(resumed, began + 18 * HOUR - 1);
    expect(await server.metric('silence')).toMatchObject({ ended: [1, 0], whole: { x: 0 } });
    await server.sweep(resumed, began + 18 * HOUR);
    expect(await server.metric('silence')).toMatchObject({ ended: [1, 0], whole: { x: 1 } });
  });
});

describe('the bit', () => {
  it('is that of the judge, however many were seen', async () => {
    const draw = drawsFrom(7);
    const rows = Array.from({ length: 3_000 }, () => {
      const [size, bad] = draw() < 0.5 ? [20, 2] : [50, 7];
      const seen = size + Math.floor(draw() ** 4 * 5_000);
      const failed = Math.floor(draw() ** 2 * (seen + 1));
      return { seen, failed, size, bad, stage: Math.floor(draw() * 9), device: randomUUID() };
    });
    const { rows: answers } = await log.admin.query<{ bit: boolean }>(
      `SELECT ops.drawn_bit(r.seen, r.failed, r.size, r.bad, 77, r.stage, 'errors', r.device) AS bit
         FROM json_to_recordset($1) AS r (seen bigint, failed bigint, size int, bad int, stage int, device uuid)`,
      [JSON.stringify(rows)],
    );
    const bits = rows.map(({ seen, failed, size, bad, stage, device }) =>
      sampleBit({ by: 'samples', of: 'predictions', size }, seen, failed, bad, () =>
        uniformOf('77', stage, 'errors', device),
      ),
    );
    expect(answers.map((row) => row.bit)).toEqual(bits);
    expect(new Set(bits)).toEqual(new Set([true, false]));
  });
});
