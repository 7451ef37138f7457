/** Devices that ask, in memory: found without Postgres, and never with old words once another server has heard new ones. */
import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { asOrgId } from '../../domain/org.ts';
import { openLog, until, type LogFixture } from '../../test/support/log.ts';
import { createPool, type Pool } from '../connect.ts';
import { queryableOf } from '../queryable.ts';
import { createActiveDevices, type ActiveDevices } from './activeDevices.ts';
import { createDeviceStore, type DeviceStore } from './deviceStore.ts';

const [A, B] = [asOrgId('org_a'), asOrgId('org_b')];
let log: LogFixture;
let pool: Pool;
let open: ActiveDevices[] = [];
beforeAll(async () => {
  log = await openLog();
  pool = createPool({ connectionString: log.appUrl, max: 4 });
});
const listeners = async () =>
  (
    await log.admin.query<{ n: number }>(
      `SELECT count(*)::int AS n FROM pg_stat_activity WHERE application_name = 'edgeml listen devices'`,
    )
  ).rows[0]!.n;
afterEach(async () => {
  await Promise.all(open.map((one) => one.close()));
  open = [];
  await until('their sessions are gone', async () => (await listeners()) === 0);
});
afterAll(async () => {
  await pool.end();
  await log.close();
});

/** One server. */
async function server() {
  let asked = 0;
  const store: DeviceStore = createDeviceStore(queryableOf(pool), (id) => active.changed(id));
  const getDevice: DeviceStore['getDevice'] = (...of) => {
    asked += 1;
    return store.getDevice(...of);
  };
  const before = await listeners();
  const active: ActiveDevices = createActiveDevices({ getDevice }, pool, log.appUrl);
  open.push(active);
  await until('it listens', async () => (await listeners()) > before);
  await new Promise((resolve) => setTimeout(resolve, 50)); // LISTEN itself
  return { store, active, asked: () => asked };
}
const phone = () => `phone-${randomUUID()}`;

describe('a device that asks', () => {
  it('is read once, under its id and its own identifier, and only within its organisation', async () => {
    const { store, active, asked } = await server();
    const identifier = phone();
    const { device } = await store.registerDevice({ orgId: A, identifier, platform: 'ios', osVersion: '17.4' });
    for (let i = 0; i < 3; i += 1) {
      expect(await active.find(A, identifier)).toMatchObject({ id: device.id, platform: 'ios', osVersion: '17.4' });
      expect((await active.find(A, device.id))?.id).toBe(device.id);
    }
    expect(asked()).toBe(2);
    expect(await active.find(B, device.id)).toBeUndefined();
    expect(await active.find(A, 'nobody')).toBeUndefined();
  });

  it('is told what is new of it by another server', async () => {
    const [one, other] = [await server(), await server()];
    const identifier = phone();
    await one.store.registerDevice({ orgId: A, identifier, osVersion: '17.4' });
    expect((await one.active.find(A, identifier))?.osVersion).toBe('17.4');
    await other.store.heartbeat(A, identifier, { osVersion: '18.0' });
    await until('it is heard', async () => (await one.active.find(A, identifier))?.osVersion === '18.0');
    await other.store.registerDevice({ orgId: A, identifier, osVersion: '18.1' });
    await until('it is heard', async () => (await one.active.find(A, identifier))?.osVersion === '18.1');
    const before = one.asked();
    await other.store.registerDevice({ orgId: A, identifier, osVersion: '18.1' }); // nothing new
    await new Promise((resolve) => setTimeout(resolve, 300));
    await one.active.find(A, identifier);
    expect(one.asked()).toBe(before);
  });

  it('is read again after the session that listens was lost', async () => {
    const one = await server();
    const identifier = phone();
    const { device } = await one.store.registerDevice({ orgId: A, identifier, osVersion: '17.4' });
    await one.active.find(A, identifier);
    await log.admin.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'edgeml listen devices'`,
    );
    await log.admin.query(`UPDATE ops.devices SET os_version = '19' WHERE id = $1`, [device.id]); // nobody is notified
    await until('it is read again', async () => (await one.active.find(A, identifier))?.osVersion === '19');
  });
});

describe('what it was told', () => {
  it('is noted when it changes, and when the pointer has changed in between', async () => {
    const one = await server();
    const { device } = await one.store.registerDevice({ orgId: A, identifier: phone() });
    const found = (await one.active.find(A, device.id))!;
    const modelId = randomUUID();
    const told = async (version: string, epoch: number, second: number) => {
      one.active.noteTold(found, { modelId, version, epoch, at: new Date(Date.UTC(2026, 0, 1, 0, 0, second)) });
      await one.active.flush();
      return (await one.store.deviceModel(device, modelId))?.toldVersion;
    };
    expect(await told('1.0.0', 7, 1)).toBe('1.0.0');
    await log.admin.query(`UPDATE ops.device_model SET told_version = '1.1.0' WHERE device_id = $1`, [device.id]); // another server told it
    expect(await told('1.0.0', 7, 2)).toBe('1.1.0'); // nothing is written
    expect(await told('1.0.0', 9, 3)).toBe('1.0.0');
  });

  it('is written before it closes', async () => {
    const one = await server();
    const { device } = await one.store.registerDevice({ orgId: A, identifier: phone() });
    const found = (await one.active.find(A, device.id))!;
    one.active.noteTold(found, { modelId: 'm-1', version: '1.0.0', epoch: 1, at: new Date() });
    await one.active.close();
    expect((await one.store.deviceModel(device, 'm-1'))?.toldVersion).toBe('1.0.0');
  });
});
