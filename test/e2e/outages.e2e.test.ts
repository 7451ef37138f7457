/** What works while NATS or Temporal is away, and what happens when they come back, or come back empty. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Device } from '../../sdk/index.ts';
import { createModel, publishVersion } from './published.ts';
import { eventually, startProduct, type Product } from './stack.ts';

const MODEL = 'outage-model';
const SLOW = { ramp: '0s', min_bake: '1h', max_bake: '2h' } as const;
const QUICK = { ramp: '0s', min_bake: '200ms', max_bake: '1h' } as const;
const RULE = { metric: 'error_rate' as const, op: '>' as const, value: 0.05, min_predictions: 5, min_devices: 1 };

let product: Product;
let deviceKey: string;

const deviceOf = (name: string) =>
  new Device({
    baseUrl: product.stack.url,
    apiKey: deviceKey,
    deviceIdentifier: name,
    platform: 'android',
    attempts: 8,
  });

/** A device that the rollout reaches, and the version it is told. */
const told = async (device: Device) => (await device.assignment(MODEL))?.version;

beforeAll(async () => {
  product = await startProduct('outages');
  deviceKey = (await product.audit.createKey({ name: 'fleet', roles: ['device'] })).key;
  await createModel(product, MODEL);
  await publishVersion(product, deviceKey, { model: MODEL, version: '1.0.0', base: null });
  const first = await product.client.federation.deploy({
    model: MODEL,
    version: '1.0.0',
    stages: [{ percent: 100, ...QUICK }],
    look: '200ms',
    policy: { rules: [RULE] },
  });
  const phone = deviceOf('phone');
  await eventually(async () => {
    if ((await told(phone)) === '1.0.0') phone.report(MODEL, '1.0.0', { ok: true, latencyMs: 5 });
    for (let i = 0; i < 5; i += 1) phone.report(MODEL, '1.0.0', { ok: true, latencyMs: 5 });
    await phone.flush();
    return (await first.get()).status === 'completed' ? true : undefined;
  });
  await publishVersion(product, deviceKey, { model: MODEL, version: '1.1.0', base: '1.0.0' });
}, 120_000);
afterAll(() => product?.end());

const startSlow = () =>
  product.client.federation.deploy({
    model: MODEL,
    version: '1.1.0',
    stages: [
      { percent: 50, ...SLOW },
      { percent: 100, ...SLOW },
    ],
    look: '200ms',
    policy: { rules: [RULE] },
  });

describe('NATS is away', () => {
  it('commands work, read models follow, and the stream has each fact once afterwards', async () => {
    await product.stack.stopService('nats');
    const { registry } = product.client;
    const names = ['while-away-1', 'while-away-2', 'while-away-3'];
    for (const name of names) await registry.ensureModel({ name, framework: 'custom', useCase: 'test' });
    await eventually(async () => {
      const listed = new Set<string>();
      for await (const m of registry.listModels()) listed.add(m.name);
      return names.every((n) => listed.has(n)) ? true : undefined;
    });
    await product.stack.startService('nats');
    const { jetstreamManager } = await import('@nats-io/jetstream');
    const { connect: connectNats } = await import('nats');
    const nc = await connectNats({ servers: product.stack.env['NATS_URL']! });
    try {
      const manager = await jetstreamManager(nc);
      const head = (await product.audit.events({ limit: 1 })).position;
      await eventually(async () => {
        const { state } = await manager.streams.info('EDGEML_EVENTS');
        return state.messages === head + 1 ? true : undefined;
      });
    } finally {
      await nc.close();
    }
  });
});

describe('Temporal is away', () => {
  it('pause and rollback work and devices are told; the work that waited is done when it is back', async () => {
    const handle = await startSlow();
    const phones = Array.from({ length: 12 }, (_, i) => deviceOf(`away-${i}`));
    const reached = await eventually(async () => {
      for (const phone of phones) if ((await told(phone)) === '1.1.0') return phone;
      return undefined;
    });
    await product.stack.stopService('temporal');
    const paused = await handle.pause('looking at it');
    expect(paused.status).toBe('paused');
    expect(await told(reached)).toBe('1.1.0');

    // Deleted with an open workflow: it goes on from the log.
    product.stack.wipeTemporal();
    const back = await product.client.federation.rollback({ model: MODEL, reason: 'crashes' });
    expect(back.status).toBe('rolled_back');
    await eventually(async () => ((await told(reached)) === '1.0.0' ? true : undefined));
    for (const phone of phones) expect(await told(phone)).toBe('1.0.0');

    await product.stack.startService('temporal');
    await product.stack.ready('temporal');
    await eventually(async () => {
      const text = await handle.postMortemMarkdown();
      return /crashes/.test(text) ? true : undefined;
    });
    expect((await product.audit.verify()).findings).toEqual([]);
  });
});

describe("Temporal's database is deleted with an open rollout", () => {
  it('the rollout goes on to its end', { timeout: 180_000 }, async () => {
    await publishVersion(product, deviceKey, { model: MODEL, version: '1.2.0', base: '1.0.0' });
    const handle = await product.client.federation.deploy({
      model: MODEL,
      version: '1.2.0',
      stages: [
        { percent: 50, ramp: '0s', min_bake: '3s', max_bake: '1h' },
        { percent: 100, ...QUICK },
      ],
      look: '200ms',
      policy: { rules: [RULE] },
    });
    await product.stack.stopService('temporal');
    product.stack.wipeTemporal();
    await product.stack.startService('temporal');
    const phones = Array.from({ length: 12 }, (_, i) => deviceOf(`wiped-${i}`));
    await eventually(async () => {
      for (const phone of phones) {
        const version = await told(phone);
        if (version) for (let i = 0; i < 5; i += 1) phone.report(MODEL, version, { ok: true, latencyMs: 5 });
        await phone.flush();
      }
      return (await handle.get()).status === 'completed' ? true : undefined;
    });
    const { items } = await product.audit.events({ limit: 500 });
    const mine = items.filter((e) => e.stream === `rollout-${handle.id}`).map((e) => e.type);
    expect(mine.filter((t) => t === 'StageEntered').length).toBe(2);
    expect(mine.filter((t) => t === 'RolloutCompleted').length).toBe(1);
    expect((await product.audit.verify()).findings).toEqual([]);
  });
});
