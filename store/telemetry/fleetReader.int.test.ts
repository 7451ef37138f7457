/** A fleet before a rollout: who is there, and what the stable version sends. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { deviceIdOf } from '../../domain/hash/uuid.ts';
import { bucketMicros, latencyBucket } from '../../domain/rollout/latency.ts';
import { asOrgId } from '../../domain/org.ts';
import { modelStream } from '../../domain/events/streams.ts';
import { appendUnchecked, openLog, type LogFixture } from '../../test/support/log.ts';
import { createPool, type Pool } from '../connect.ts';
import { createDeviceStore } from '../devices/deviceStore.ts';
import { createToldMarks } from '../devices/toldMarks.ts';
import { queryableOf, type Queryable } from '../queryable.ts';
import { createFleetReader } from './fleetReader.ts';
import { recordReports } from './recordReports.ts';
import type { Report } from './report.ts';

let log: LogFixture;
let pool: Pool;
let on: Queryable;
const ORG = asOrgId('org_fleet');
const MODEL = 'm-fleet';
beforeAll(async () => {
  log = await openLog();
  pool = createPool({ connectionString: log.appUrl, max: 4 });
  on = queryableOf(pool);
  const stream = modelStream(MODEL);
  await appendUnchecked(log.admin, {
    stream,
    type: 'ModelRegistered',
    data: JSON.stringify({ org_id: ORG, name: 'fleet' }),
  });
});
afterAll(async () => {
  await pool.end();
  await log.close();
});

async function phone(name: string, platform: string, osVersion: string, region = 'eu'): Promise<string> {
  const words = { platform, osVersion, appVersion: '3.2.1', attributes: { region } };
  const { device } = await createDeviceStore(on).registerDevice({ orgId: ORG, identifier: name, ...words });
  return device.id;
}
const report = (id: string, version: string, more: Partial<Report>) =>
  recordReports(
    on,
    [
      {
        device: { id, platform: 'ios', osVersion: '17' },
        report: { modelId: MODEL, version, session: randomUUID(), seq: 1, acked: 0, ...more },
        attribution: undefined,
      },
    ],
    0,
  );
const told = async (ids: readonly string[], version: string) => {
  const marks = createToldMarks(on, () => undefined);
  for (const deviceId of ids) marks.note({ deviceId, modelId: MODEL, version, at: new Date() });
  await marks.flush();
  await marks.close();
};
const fast = latencyBucket(20_000);
const slow = latencyBucket(80_000);

describe('a fleet', () => {
  it('is who was seen in a week, by leaf and inside the cohort; what counts as measured is what the stable version sent', async () => {
    const fleet = createFleetReader(on);
    const ios = await Promise.all(['a', 'b', 'c'].map((name) => phone(name, 'iOS', '17.4')));
    const [android] = [await phone('d', 'android', '14', 'us')];
    const gone = await phone('e', 'ios', '17.1');
    await log.admin.query(`UPDATE ops.devices SET last_seen_at = now() - interval '8 days' WHERE id = $1`, [gone]);
    const all = { modelId: MODEL, stable: '1.0.0', cohort: null, exclude: null };
    const iosLeaf = { platform: 'ios', osMajor: '17', app: '3.2', region: 'eu' };
    const androidLeaf = { platform: 'android', osMajor: '14', app: '3.2', region: 'us' };
    const empty = await fleet.readFleet(all);
    expect(new Set(empty.leaves)).toEqual(
      new Set([
        { ...iosLeaf, devices: 3 },
        { ...androidLeaf, devices: 1 },
      ]),
    );
    expect(empty).toMatchObject({ measured: ['download', 'install'], frozenQ: {} });
    expect((await fleet.readFleet({ ...all, cohort: { region: ['us'] } })).leaves).toEqual([
      { ...androidLeaf, devices: 1 },
    ]);
    expect((await fleet.readFleet({ ...all, exclude: { region: ['us'] } })).leaves).toEqual([
      { ...iosLeaf, devices: 3 },
    ]);

    await told([...ios, android], '1.0.0');
    await report(ios[0]!, '1.0.0', { predictions: { ok: 1, failed: 0 } });
    // Of another version: that says nothing of the stable one.
    await report(ios[1]!, '2.0.0', {
      predictions: { ok: 90, failed: 0 },
      labelled: { correct: 1, total: 1 },
      latency: { [slow]: 90 },
    });
    const errors = ['errors', 'errors_late', 'crash', 'silence', 'download', 'install'];
    expect(await fleet.readFleet(all)).toMatchObject({ measured: errors, frozenQ: {} });

    await report(ios[1]!, '1.0.0', { predictions: { ok: 95, failed: 0 }, latency: { [fast]: 95 } });
    await report(ios[2]!, '1.0.0', { predictions: { ok: 5, failed: 0 }, latency: { [slow]: 5 } });
    await report(android, '1.0.0', {
      predictions: { ok: 5, failed: 0 },
      latency: { [slow]: 5 },
      labelled: { correct: 1, total: 2 },
    });
    const full = await fleet.readFleet(all);
    expect(full.measured).toHaveLength(9);
    expect(full.frozenQ).toEqual({ ios: bucketMicros(fast), android: bucketMicros(slow) });
    await log.admin.query(`UPDATE ops.report_session SET reported_at = now() - interval '8 days'`);
    expect(await fleet.readFleet(all)).toMatchObject({ measured: ['download', 'install'], frozenQ: {} });
  });

  it('that is large is counted by its first devices, whose ids are any', async () => {
    const ids = Array.from({ length: 4_000 }, (_, i) => deviceIdOf(ORG, `large-${i}`));
    await log.admin.query(
      `INSERT INTO ops.devices (id, org_id, identifier, platform) SELECT id, $2, id::text, 'ios' FROM unnest($1::uuid[]) id`,
      [ids, ORG],
    );
    const [leaf] = (
      await createFleetReader(on, 1_000).readFleet({
        modelId: MODEL,
        stable: null,
        cohort: { platform: ['ios'] },
        exclude: null,
      })
    ).leaves.filter((one) => one.osMajor === null);
    expect(leaf!.devices).toBeGreaterThan(3_600);
    expect(leaf!.devices).toBeLessThan(4_400);
  });
});
