/** Apps that restart often are counted truly: no good version is convicted for it, and no bad one hides behind it. */
import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import type { RolloutSpec } from '../../domain/events/rollout.ts';
import { judge } from '../../domain/rollout/thresholds.ts';
import { drawsFrom } from '../../test/support/draws.ts';
import { openLog, type LogFixture } from '../../test/support/log.ts';
import { createPool, type Pool } from '../connect.ts';
import type { Queryable } from '../queryable.ts';
import { queryableOf } from '../queryable.ts';
import { recordReports } from './recordReports.ts';
import type { AttributedReport } from './report.ts';
import { createTelemetryReader, type TelemetryReader } from './telemetryReader.ts';

let log: LogFixture;
let pool: Pool;
let on: Queryable;
let reader: TelemetryReader;
beforeAll(async () => {
  log = await openLog();
  pool = createPool({ connectionString: log.appUrl, max: 4 });
  on = queryableOf(pool);
  reader = createTelemetryReader(on);
});
afterAll(async () => {
  await pool.end();
  await log.close();
});

let rollouts = 0;
const freshRollout = () => (rollouts += 1);

/** What one process of a device predicted before it ended. */
interface Life {
  readonly ok: number;
  readonly failed: number;
}

/** A life's one report: a session of its own, which nothing told of those before it. */
const lifeOf = (device: string, rolloutId: number, stage: number, { ok, failed }: Life): AttributedReport => ({
  device: { id: device, platform: 'ios', osVersion: '17' },
  report: {
    ...{ modelId: 'm', version: '1.1.0', session: randomUUID(), seq: 1, acked: 0 },
    predictions: { ok, failed },
  },
  attribution: { rolloutId, stage, arm: 'canary' },
});

async function record(reports: readonly AttributedReport[]): Promise<void> {
  const recorded = await recordReports(on, reports, 0);
  expect(recorded.every((r) => r === 'counted')).toBe(true);
}

const sum = (lives: readonly Life[]) => ({
  predictions: lives.reduce((n, l) => n + l.ok + l.failed, 0),
  errors: lives.reduce((n, l) => n + l.failed, 0),
});

describe('a device that restarts after every report', () => {
  it('is counted truly in both stages, wherever between its lives the second one begins', async () => {
    const life = fc
      .record({ n: fc.integer({ min: 1, max: 30 }), failing: fc.double({ min: 0, max: 1, noNaN: true }) })
      .map(({ n, failing }): Life => ({ ok: n - Math.floor(n * failing), failed: Math.floor(n * failing) }));
    await fc.assert(
      fc.asyncProperty(fc.array(life, { minLength: 1, maxLength: 12 }), async (lives) => {
        // One device for each split, all of them side by side.
        const splits = Array.from({ length: lives.length + 1 }, (_, split) => ({
          split,
          device: randomUUID(),
          rolloutId: freshRollout(),
        }));
        for (const [i, one] of lives.entries()) {
          await record(splits.map((s) => lifeOf(s.device, s.rolloutId, i < s.split ? 0 : 1, one)));
        }
        for (const { split, rolloutId } of splits) {
          const stages = await Promise.all([reader.readCounters(rolloutId, 0), reader.readCounters(rolloutId, 1)]);
          expect(stages.map((s) => s.canary)).toMatchObject([sum(lives.slice(0, split)), sum(lives.slice(split))]);
          expect(stages.map((s) => s.canary.devices)).toEqual([Math.min(split, 1), Math.min(lives.length - split, 1)]);
        }
      }),
      { numRuns: 25 },
    );
  });
});

const limit = (minPredictions: number): RolloutSpec => ({
  version: '1.1.0',
  stages: [{ percent: 100, ramp: '0s', min_bake: '1s', max_bake: '1h' }],
  look: '1s',
  policy: {
    rules: [{ metric: 'error_rate', op: '>', value: 0.05, min_devices: 10, min_predictions: minPredictions }],
  },
  on_regressed: 'rollback',
});

async function verdictOf(rolloutId: number, minPredictions: number): Promise<string> {
  const counters = await reader.readCounters(rolloutId, 0);
  const clock = { clockMs: 10_000, rampMs: 0, minBakeMs: 1_000, maxBakeMs: 3_600_000 };
  return judge({ spec: limit(minPredictions), stage: 0, look: 1, counters, setAside: null, ...clock }).verdict;
}

const DEVICES = 10;
const AT_ONCE = 1_000;

describe('fleets of such devices', () => {
  it('are never convicted at 3 % of errors with a limit of 5 %', { timeout: 180_000 }, async () => {
    const draw = drawsFrom(inject('seed'));
    const fleets = Array.from({ length: 500 }, () => ({
      rolloutId: freshRollout(),
      devices: Array.from({ length: DEVICES }, () => randomUUID()),
      lives: [] as Life[],
    }));
    for (let life = 1; life <= 13; life += 1) {
      const reports = fleets.flatMap(({ rolloutId, devices, lives }) =>
        devices.map((device) => {
          const n = 1 + Math.floor(draw() * 30);
          const failed = Array.from({ length: n }).filter(() => draw() < 0.03).length;
          lives.push({ ok: n - failed, failed });
          return lifeOf(device, rolloutId, 0, lives.at(-1)!);
        }),
      );
      for (let from = 0; from < reports.length; from += AT_ONCE) await record(reports.slice(from, from + AT_ONCE));
    }
    // Some 2,000 predictions make 3 % and 5 % five standard deviations apart.
    for (const { rolloutId, lives } of fleets) {
      expect((await reader.readCounters(rolloutId, 0)).canary).toMatchObject({ devices: DEVICES, ...sum(lives) });
      expect(await verdictOf(rolloutId, 1_500), `rollout ${rolloutId}`).toBe('HEALTHY');
    }
  });

  it('are convicted where each life is one failure', async () => {
    const rolloutId = freshRollout();
    const devices = Array.from({ length: DEVICES }, () => randomUUID());
    for (let life = 1; life <= 20; life += 1) {
      await record(devices.map((d) => lifeOf(d, rolloutId, 0, { ok: 0, failed: 1 })));
      expect(await verdictOf(rolloutId, 200)).toBe(life < 20 ? 'PENDING' : 'REGRESSED');
    }
  });
});
