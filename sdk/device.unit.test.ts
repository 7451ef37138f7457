/** What a device counted arrives once and whole, whatever happens to its reports on the way. */
import { describe, expect, it } from 'vitest';
import { Device } from './device.ts';
import type { RefusedReport } from './reporting.ts';
import type { DeviceReport } from './types.ts';

type Fate =
  'answered' | 'lost' | 'failed' | 'answer lost' | 'refused' | 'forgotten' | 'overloaded' | 'a page of a proxy';

const PROBLEM = { code: 'invalid_input', detail: '/version is no version.', retryable: false };

/** A device against the rule of `ops.record_reports`: a number that does not grow is dropped. `during` runs while a report is under way. */
function deviceWith(
  fate: (attempt: number, report: DeviceReport) => Fate,
  {
    during = () => undefined,
    ...options
  }: { during?: (device: Device) => void; onReportRefused?: (refused: RefusedReport) => void } = {},
) {
  const sent: DeviceReport[] = [];
  const counted = new Map<string, DeviceReport>();
  const fetched: typeof fetch = async (url, init) => {
    if (String(url instanceof Request ? url.url : url).endsWith('/register')) return Response.json({ id: 'device-1' });
    const report = JSON.parse(init?.body as string) as DeviceReport; // flush sent it, as JSON text
    sent.push(report);
    during(device);
    const what = fate(sent.length, report);
    if (what === 'lost') throw new TypeError('the connection broke before it arrived');
    if (what === 'failed') return Response.json({ code: 'server_error', detail: 'full disk' }, { status: 500 });
    if (what === 'overloaded') return Response.json({ code: 'unavailable', detail: 'soon' }, { status: 503 });
    if (what === 'refused') return Response.json(PROBLEM, { status: 422 });
    if (what === 'a page of a proxy') return new Response('<h1>404</h1>', { status: 404 });
    if (what === 'forgotten') return Response.json({ duplicate: false, forgotten: true, attributed: null });
    const key = JSON.stringify([report.session, report.model, report.version]);
    const isNew = report.seq > (counted.get(key)?.seq ?? 0);
    if (isNew) counted.set(key, report);
    if (what === 'answer lost') throw new TypeError('the connection broke after it arrived');
    return Response.json({ duplicate: !isNew, forgotten: false, attributed: null });
  };
  const device: Device = new Device({
    baseUrl: 'http://edgeml.test',
    deviceIdentifier: 'a',
    platform: 'ios',
    fetch: fetched,
    attempts: 1,
    ...options,
  });
  /** Over all sessions, of one version or of all. */
  const total = (version?: string) =>
    [...counted.values()]
      .filter((r) => version === undefined || r.version === version)
      .reduce(
        (sum, { predictions }) => ({
          ok: sum.ok + (predictions?.ok ?? 0),
          failed: sum.failed + (predictions?.failed ?? 0),
        }),
        { ok: 0, failed: 0 },
      );
  return { device, sent, total };
}

const predict = (device: Device, version = '1.0.0') => device.report('m', version, { ok: true, latencyMs: 3 });
const COUNTED = { duplicate: false, forgotten: false, attributed: null };

describe('the reports of a device', () => {
  it('say what changed, and nothing while nothing did', async () => {
    const { device, sent, total } = deviceWith(() => 'answered');
    predict(device);
    device.report('m', '1.0.0', { ok: false });
    expect(await device.flush()).toHaveLength(1);
    expect(await device.flush()).toEqual([]);
    expect(sent).toHaveLength(1);
    expect(total()).toEqual({ ok: 1, failed: 1 });
  });

  it('send with the next one what was counted while one was under way', async () => {
    const { device, sent, total } = deviceWith(() => 'answered', { during: (d) => sent.length === 1 && predict(d) });
    predict(device);
    await device.flush();
    expect(total()).toEqual({ ok: 1, failed: 0 });
    await device.flush();
    expect(total()).toEqual({ ok: 2, failed: 0 });
    expect(await device.flush()).toEqual([]);
  });

  it.each(['lost', 'failed', 'answer lost', 'overloaded', 'a page of a proxy'] as const)(
    'are repeated when one was %s, with what came since',
    async (fate) => {
      const { device, total } = deviceWith((attempt) => (attempt === 1 ? fate : 'answered'));
      predict(device);
      await expect(device.flush()).rejects.toThrow();
      predict(device);
      expect(await device.flush()).toEqual([COUNTED]);
      expect(total()).toEqual({ ok: 2, failed: 0 });
      expect(await device.flush()).toEqual([]);
    },
  );

  it('have a number for each content, also where two calls overlap', async () => {
    const { device, sent, total } = deviceWith(() => 'answered');
    predict(device);
    const first = device.flush();
    predict(device);
    await Promise.all([first, device.flush()]);
    predict(device);
    await device.flush();
    expect(total()).toEqual({ ok: 3, failed: 0 });
    const contents = new Map(sent.map((r) => [r.seq, JSON.stringify(r)]));
    expect(sent.every((r) => contents.get(r.seq) === JSON.stringify(r))).toBe(true);
  });

  it('are of a session of their own for each process, from 1, and say what was answered', async () => {
    const { device, sent } = deviceWith((attempt) => (attempt === 2 ? 'answer lost' : 'answered'));
    predict(device);
    await device.flush();
    predict(device);
    await expect(device.flush()).rejects.toThrow();
    await device.flush();
    predict(device, '1.1.0');
    await device.flush();
    expect(sent.map(({ seq, acked, version }) => [seq, acked, version])).toEqual([
      [1, 0, '1.0.0'],
      [2, 1, '1.0.0'],
      [3, 1, '1.0.0'],
      [4, 3, '1.1.0'],
    ]);
    expect(new Set(sent.map((r) => r.session)).size).toBe(1);
    const other = deviceWith(() => 'answered');
    predict(other.device);
    await other.device.flush();
    expect(other.sent[0]!.session).not.toBe(sent[0]!.session);
  });

  it('tell all that is counted', async () => {
    const { device, sent } = deviceWith(() => 'answered');
    device.report('m', '1.0.0', { ok: true, latencyMs: 50 });
    device.report('m', '1.0.0', { ok: false });
    device.countLoad('m', '1.0.0', true);
    device.countLoad('m', '1.0.0', false);
    device.countCrash('m', '1.0.0');
    device.countFallback('m', '1.0.0');
    device.countLabelled('m', '1.0.0', true);
    device.countLabelled('m', '1.0.0', false);
    await device.flush();
    expect(sent).toEqual([
      {
        session: expect.any(String),
        ...{ seq: 1, acked: 0, model: 'm', version: '1.0.0' },
        predictions: { ok: 1, failed: 1 },
        downloads: { started: 0, ok: 0, failed: 0 },
        loads: { ok: 1, failed: 1 },
        latency: { '541': 1 },
        ...{ crashes: 1, fallbacks: 1, labelled: { correct: 1, total: 2 } },
      },
    ]);
  });

  it('are set aside and told where one is refused for good, and the others are sent', async () => {
    const told: RefusedReport[] = [];
    const { device, sent, total } = deviceWith((_, r) => (r.version === 'bad' ? 'refused' : 'answered'), {
      onReportRefused: (refused) => told.push(refused),
    });
    for (const version of ['1.0.0', 'bad', '1.1.0']) predict(device, version);
    expect(await device.flush()).toEqual([COUNTED, COUNTED]);
    expect(told).toMatchObject([{ model: 'm', version: 'bad', error: { status: 422, code: 'invalid_input' } }]);
    for (const version of ['1.0.0', 'bad', '1.1.0']) predict(device, version);
    expect(await device.flush()).toEqual([COUNTED, COUNTED]);
    expect(total()).toEqual({ ok: 4, failed: 0 });
    expect(sent.filter((r) => r.version === 'bad')).toHaveLength(1);
    expect(told).toHaveLength(1);
  });

  it('are thrown where one is refused for good and nobody is told, after the others were sent', async () => {
    const { device, total } = deviceWith((_, r) => (r.version === 'bad' ? 'refused' : 'answered'));
    for (const version of ['bad', '1.1.0']) predict(device, version);
    await expect(device.flush()).rejects.toMatchObject({ code: 'invalid_input' });
    expect(total()).toEqual({ ok: 1, failed: 0 });
    expect(await device.flush()).toEqual([]);
  });

  it('are sent although one before them fails each time', async () => {
    const { device, total } = deviceWith((_, r) => (r.version === 'bad' ? 'failed' : 'answered'));
    for (const version of ['bad', '1.1.0']) predict(device, version);
    await expect(device.flush()).rejects.toMatchObject({ status: 500 });
    expect(total('1.1.0')).toEqual({ ok: 1, failed: 0 });
  });

  it('are not all tried while nobody answers, and the next call begins with another', async () => {
    let isAway = true;
    const { device, sent, total } = deviceWith((_, r) => (isAway || r.version === 'bad' ? 'lost' : 'answered'));
    for (const version of ['bad', '1.1.0']) predict(device, version);
    await expect(device.flush()).rejects.toMatchObject({ status: 0 });
    expect(sent).toHaveLength(1);
    isAway = false;
    await expect(device.flush()).rejects.toMatchObject({ status: 0 });
    expect(total('1.1.0')).toEqual({ ok: 1, failed: 0 });
  });

  it('begin a new session with what was never sent, once the old one is forgotten', async () => {
    let hasForgotten = false;
    const { device, sent, total } = deviceWith((_, r) => {
      if (!hasForgotten || r.session !== sent[0]!.session) return 'answered';
      predict(device); // while it is under way
      return 'forgotten';
    });
    predict(device);
    predict(device, '1.1.0');
    await device.flush();
    hasForgotten = true;
    predict(device);
    predict(device);
    predict(device, '1.1.0');
    expect(await device.flush()).toMatchObject([{ forgotten: true }, { forgotten: false }]);
    await device.flush();
    // Of 1.0.0 the two that were sent in vain are given up; whether they had been counted nobody knows.
    expect(total('1.0.0')).toEqual({ ok: 2, failed: 0 });
    expect(total('1.1.0')).toEqual({ ok: 2, failed: 0 });
    expect(sent.at(-1)).toMatchObject({ seq: 2, acked: 1, predictions: { ok: 1, failed: 0 } });
  });

  it('need no clock', async () => {
    const { device, sent, total } = deviceWith(() => 'answered');
    const { now } = Date;
    try {
      for (const year of [2026, 1970, 2040, 1970]) {
        Date.now = () => Date.UTC(year);
        predict(device);
        await device.flush();
      }
    } finally {
      Date.now = now;
    }
    expect(sent.map((r) => r.seq)).toEqual([1, 2, 3, 4]);
    expect(total()).toEqual({ ok: 4, failed: 0 });
  });
});
