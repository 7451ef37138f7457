/** What a device counted arrives once and whole, whatever happens to its reports on the way. */
import { describe, expect, it } from 'vitest';
import { Device } from './device.ts';

interface Sent {
  readonly seq: number;
  readonly predictions: { readonly ok: number; readonly failed: number };
  readonly latency: Readonly<Record<string, number>>;
}

type Fate = 'answered' | 'lost' | 'refused' | 'answer lost';

/** A device against the rule of `ops.record_report`: a number that does not grow is dropped. `during` runs while a report is under way. */
function deviceWith(fate: (attempt: number) => Fate, during: (device: Device) => void = () => undefined) {
  const sent: Sent[] = [];
  let counted: Sent | undefined;
  const fetched: typeof fetch = async (url, init) => {
    if (String(url instanceof Request ? url.url : url).endsWith('/register')) return Response.json({ id: 'device-1' });
    const report = JSON.parse(init?.body as string) as Sent; // flush sent it, as JSON text
    sent.push(report);
    during(device);
    const what = fate(sent.length);
    if (what === 'lost') throw new TypeError('the connection broke before it arrived');
    if (what === 'refused') return Response.json({ code: 'server_error', detail: 'full disk' }, { status: 500 });
    const isNew = !counted || report.seq > counted.seq;
    if (isNew) counted = report;
    if (what === 'answer lost') throw new TypeError('the connection broke after it arrived');
    return Response.json({ recorded: isNew ? 'counted' : 'duplicate' });
  };
  const options = {
    baseUrl: 'http://edgeml.test',
    deviceIdentifier: 'a',
    platform: 'ios',
    fetch: fetched,
    attempts: 1,
  };
  const device: Device = new Device(options);
  return { device, sent, counted: () => counted?.predictions };
}

const predict = (device: Device) => device.report('m', '1.0.0', { ok: true, latencyMs: 3 });

describe('the reports of a device', () => {
  it('say what changed, and nothing while nothing did', async () => {
    const { device, sent, counted } = deviceWith(() => 'answered');
    predict(device);
    device.report('m', '1.0.0', { ok: false });
    expect(await device.flush()).toHaveLength(1);
    expect(await device.flush()).toEqual([]);
    expect(sent).toHaveLength(1);
    expect(counted()).toEqual({ ok: 1, failed: 1 });
  });

  it('send with the next one what was counted while one was under way', async () => {
    const { device, sent, counted } = deviceWith(
      () => 'answered',
      (d) => sent.length === 1 && predict(d),
    );
    predict(device);
    await device.flush();
    expect(counted()).toEqual({ ok: 1, failed: 0 });
    await device.flush();
    expect(counted()).toEqual({ ok: 2, failed: 0 });
    expect(await device.flush()).toEqual([]);
  });

  it.each(['lost', 'refused', 'answer lost'] as const)(
    'are repeated when one was %s, with what came since',
    async (fate) => {
      const { device, counted } = deviceWith((attempt) => (attempt === 1 ? fate : 'answered'));
      predict(device);
      await expect(device.flush()).rejects.toThrow();
      predict(device);
      expect(await device.flush()).toEqual([{ recorded: 'counted' }]);
      expect(counted()).toEqual({ ok: 2, failed: 0 });
      expect(await device.flush()).toEqual([]);
    },
  );

  it('have a number for each content, also where two calls overlap', async () => {
    const { device, sent, counted } = deviceWith(() => 'answered');
    predict(device);
    const first = device.flush();
    predict(device);
    await Promise.all([first, device.flush()]);
    predict(device);
    await device.flush();
    expect(counted()).toEqual({ ok: 3, failed: 0 });
    const contents = new Map(sent.map((r) => [r.seq, JSON.stringify(r)]));
    expect(sent.every((r) => contents.get(r.seq) === JSON.stringify(r))).toBe(true);
  });
});
