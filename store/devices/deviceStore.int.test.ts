/** Devices register once, and say what they run. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { deviceIdOf } from '../../domain/hash/uuid.ts';
import { asOrgId } from '../../domain/org.ts';
import { openLog, type LogFixture } from '../../test/support/log.ts';
import { createPool, type Pool } from '../connect.ts';
import { queryableOf } from '../queryable.ts';
import { createDeviceStore, type DeviceStore } from './deviceStore.ts';

const [A, B] = [asOrgId('org_a'), asOrgId('org_b')];
let log: LogFixture;
let pool: Pool;
let devices: DeviceStore;
beforeAll(async () => {
  log = await openLog();
  pool = createPool({ connectionString: log.appUrl, max: 4 });
  devices = createDeviceStore(queryableOf(pool));
});
afterAll(async () => {
  await pool.end();
  await log.close();
});

describe('registering', () => {
  it('gives one id to one identifier of an organisation, however often and at once', async () => {
    const identifier = `phone-${randomUUID()}`;
    const all = await Promise.all(Array.from({ length: 10 }, () => devices.registerDevice({ orgId: A, identifier })));
    expect(new Set(all.map((r) => r.device.id))).toEqual(new Set([deviceIdOf(A, identifier)]));
    expect(all.filter((r) => r.isNew)).toHaveLength(1);
    const other = await devices.registerDevice({ orgId: B, identifier });
    expect(other.isNew).toBe(true);
    expect(other.device.id).not.toBe(all[0]!.device.id);
  });

  it('refreshes what the device says, and keeps what it does not say this time', async () => {
    const identifier = `phone-${randomUUID()}`;
    const first = await devices.registerDevice({
      orgId: A,
      identifier,
      platform: 'ios',
      osVersion: '17.4',
      attributes: { locale: 'de', memory: 4 },
    });
    const second = await devices.registerDevice({
      orgId: A,
      identifier,
      osVersion: '18.0',
      attributes: { memory: 8 },
    });
    expect(second.device).toMatchObject({
      platform: 'ios',
      osVersion: '18.0',
      attributes: { locale: 'de', memory: 8 },
      registeredAt: first.device.registeredAt,
    });
  });
});

describe('finding', () => {
  it('is by issued id or own identifier, within the organisation', async () => {
    const identifier = `phone-${randomUUID()}`;
    const { device } = await devices.registerDevice({ orgId: A, identifier, platform: 'ios' });
    expect(await devices.getDevice(A, device.id)).toEqual(device);
    expect(await devices.getDevice(A, device.id.toUpperCase())).toEqual(device);
    expect(await devices.getDevice(A, identifier)).toEqual(device);
    expect(await devices.getDevice(B, device.id)).toBeUndefined();
    expect(await devices.getDevice(A, 'nobody')).toBeUndefined();
  });

  it('takes an identifier that is the id of a device for that device, and of another organisation for a new one', async () => {
    const { device } = await devices.registerDevice({ orgId: A, identifier: `phone-${randomUUID()}` });
    const again = await devices.registerDevice({ orgId: A, identifier: device.id.toUpperCase(), osVersion: '18.0' });
    expect(again).toMatchObject({ isNew: false, device: { id: device.id, identifier: device.identifier } });
    expect(await devices.getDevice(A, device.id)).toMatchObject({ osVersion: '18.0' });
    expect((await devices.heartbeat(A, device.id))?.id).toBe(device.id);
    const elsewhere = await devices.registerDevice({ orgId: B, identifier: device.id });
    expect(elsewhere).toMatchObject({ isNew: true, device: { identifier: device.id } });
    expect((await devices.getDevice(B, device.id))?.id).toBe(elsewhere.device.id);
  });

  it('lists an organisation, page by page', async () => {
    const orgId = asOrgId(`org_${randomUUID()}`);
    for (const [identifier, platform] of [
      ['a', 'ios'],
      ['b', 'android'],
      ['c', 'ios'],
    ] as const) {
      await devices.registerDevice({ orgId, identifier, platform });
    }
    const page = await devices.listDevices(orgId, { platform: 'ios', limit: 1, offset: 1 });
    expect(page.total).toBe(2);
    expect(page.devices).toHaveLength(1);
    expect(page.devices[0]!.registeredAt).toBeInstanceOf(Date);
    const all = await devices.listDevices(orgId, { limit: 10, offset: 0 });
    expect(all.devices.map((d) => d.identifier).sort()).toEqual(['a', 'b', 'c']);
  });
});

describe('a heartbeat', () => {
  it('moves the time it was seen, takes its words, and is nothing for a stranger', async () => {
    const identifier = `phone-${randomUUID()}`;
    const { device } = await devices.registerDevice({ orgId: A, identifier, platform: 'ios' });
    await log.admin.query(`UPDATE ops.devices SET last_seen_at = '2020-01-01' WHERE id = $1`, [device.id]);
    const beaten = await devices.heartbeat(A, identifier, { osVersion: '18.1', attributes: { charging: true } });
    expect(beaten).toMatchObject({ id: device.id, platform: 'ios', osVersion: '18.1', attributes: { charging: true } });
    expect(beaten!.lastSeenAt.getTime()).toBeGreaterThanOrEqual(device.lastSeenAt.getTime());
    expect(await devices.heartbeat(A, 'nobody')).toBeUndefined();
    expect(await devices.heartbeat(B, device.id)).toBeUndefined();
  });
});
