/** What devices were told, and how many of them say what: kept as it changes, and equal to a count of the rows. */
import fc from 'fast-check';
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openLog, until, type LogFixture } from '../../test/support/log.ts';
import { createPool, type Pool } from '../connect.ts';
import { queryableOf } from '../queryable.ts';
import { createTelemetryReader } from '../telemetry/telemetryReader.ts';
import { createToldMarks, type ToldMark } from './toldMarks.ts';

let log: LogFixture;
let pool: Pool;
beforeAll(async () => {
  log = await openLog();
  pool = createPool({ connectionString: log.appUrl, max: 8 });
});
afterAll(async () => {
  await pool.end();
  await log.close();
});

const marksOn = () => createToldMarks(queryableOf(pool), () => undefined);
const mark = (deviceId: string, modelId: string, version: string, second = 0): ToldMark => ({
  deviceId,
  modelId,
  version,
  at: new Date(Date.UTC(2026, 0, 1, 0, 0, second)),
});
const rowsOf = async (deviceId: string) => {
  const { rows } = await log.admin.query<{ told_version: string; told: string[]; row: string }>(
    `SELECT told_version, xmin::text AS row, (SELECT array_agg(version ORDER BY version) FROM ops.device_told t WHERE t.device_id = m.device_id) AS told
       FROM ops.device_model m WHERE device_id = $1`,
    [deviceId],
  );
  return rows[0];
};
/** A device's last word, as a report leaves it. */
const says = (deviceId: string, modelId: string, version: string) =>
  pool.query(
    `INSERT INTO ops.device_model AS m (device_id, model_id, reported_version, reported_at) VALUES ($1, $2, $3, clock_timestamp())
     ON CONFLICT (device_id, model_id) DO UPDATE SET reported_version = excluded.reported_version, reported_at = excluded.reported_at`,
    [deviceId, modelId, version],
  );

describe('told marks', () => {
  it('keep the latest, and all that was ever told; the same again writes nothing', async () => {
    const [device, model] = [randomUUID(), randomUUID()];
    const marks = marksOn();
    const tell = async (version: string, second: number) => {
      marks.note(mark(device, model, version, second));
      await marks.flush();
    };
    await tell('1.0.0', 1);
    const first = await rowsOf(device);
    expect(first).toMatchObject({ told_version: '1.0.0', told: ['1.0.0'] });
    await tell('1.0.0', 2);
    expect(await rowsOf(device)).toEqual(first);
    await tell('1.1.0', 3);
    await tell('1.0.0', 4);
    expect(await rowsOf(device)).toMatchObject({ told_version: '1.0.0', told: ['1.0.0', '1.1.0'] });
    await tell('1.1.0', 3); // of another server, late
    expect(await rowsOf(device)).toMatchObject({ told_version: '1.0.0' });
    await marks.close();
  });

  it('come by themselves within a second, many devices in one batch', async () => {
    const model = randomUUID();
    const marks = marksOn();
    const fleet = Array.from({ length: 3_000 }, () => randomUUID());
    for (const device of fleet) marks.note(mark(device, model, '1.0.0'));
    const reader = createTelemetryReader(queryableOf(pool));
    await until('all are noted', async () => (await reader.devicesOnVersion(model, '1.0.0')).told === fleet.length);
    await marks.close();
  });

  it('wait while they cannot be written, and the oldest give way to new ones when there are too many', async () => {
    let isAway = true;
    const lost: ToldMark[] = [];
    const written: string[] = [];
    const marks = createToldMarks(
      {
        query(_sql, values) {
          if (isAway) return Promise.reject(new Error('away'));
          written.push(...(values![2] as string[]));
          return Promise.resolve({ rows: [], rowCount: 0 });
        },
      },
      (one) => lost.push(one),
    );
    for (let i = 0; i < 200_003; i += 1) marks.note(mark(randomUUID(), 'm', String(i)));
    await expect(marks.flush()).rejects.toThrow('away');
    expect(lost.map((one) => one.version)).toEqual(['0', '1', '2']);
    isAway = false;
    await marks.flush();
    expect([written.length, written[0], written.at(-1)]).toEqual([200_000, '3', '200002']);
    await marks.close();
  });
});

describe('counts by version', () => {
  it('are those of the rows, whatever is told and said, in any order and at once', async () => {
    const device = fc.integer({ min: 0, max: 5 });
    const version = fc.constantFrom('1.0.0', '1.1.0', '1.2.0');
    const step = fc.record({
      kind: fc.constantFrom('told', 'says'),
      device,
      version,
      second: fc.integer({ max: 50, min: 0 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(step, { minLength: 1, maxLength: 6 }), { maxLength: 8 }), async (rounds) => {
        const model = randomUUID();
        const fleet = Array.from({ length: 6 }, () => randomUUID());
        for (const round of rounds) {
          await Promise.all(
            round.map(async (one) => {
              const id = fleet[one.device]!;
              if (one.kind === 'says') return void (await says(id, model, one.version));
              const marks = marksOn();
              marks.note(mark(id, model, one.version, one.second));
              await marks.flush();
              await marks.close();
            }),
          );
        }
        const { rows } = await log.admin.query<{ counted: unknown; scanned: unknown }>(
          `SELECT (SELECT jsonb_object_agg(version, n) FROM (
                     SELECT version, jsonb_build_array(sum(told), sum(reported), (SELECT coalesce(sum(active), 0) FROM ops.version_active a
                       WHERE a.model_id = $1 AND a.version = c.version)) AS n
                       FROM ops.version_told c WHERE model_id = $1 GROUP BY version) x) AS counted,
                  (SELECT jsonb_object_agg(version, n) FROM (
                     SELECT version, jsonb_build_array(count(*), count(t.reported_at), count(*) FILTER (WHERE m.reported_version = t.version)) AS n
                       FROM ops.device_told t JOIN ops.device_model m USING (device_id, model_id)
                      WHERE t.model_id = $1 GROUP BY version) y) AS scanned`,
          [model],
        );
        expect(rows[0]!.counted).toEqual(rows[0]!.scanned);
      }),
      { numRuns: 40, endOnFailure: true },
    );
  });
});
