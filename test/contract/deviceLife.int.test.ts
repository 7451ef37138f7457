/** The life of a device: it registers, asks, reports, downloads, and learns that there is no work. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { OWN, openTestApi, SDK, textOf, weightsOf, type Body, type TestApi } from './testApi.ts';
import { rolloutSteps } from './rolloutSteps.ts';

let t: TestApi;
beforeAll(async () => {
  t = await openTestApi();
});
afterAll(() => t.close());

const { started, makeStable } = rolloutSteps(() => t);

describe('devices', () => {
  const registered = async (body: Body) => {
    const answer = await t.call('POST', `${SDK}/devices/register`, { body, as: 'device', idempotent: false });
    return { status: answer.status, id: textOf(answer.body, 'id'), body: answer.body };
  };

  it('register once, live, ask for their version, report, and are told why', async () => {
    await t.published('fleet', '1.0.0', '1.1.0');
    await makeStable('fleet', '1.0.0');
    const first = await registered({
      device_identifier: 'phone-1',
      platform: 'ios',
      os_version: '17.4',
      org_id: 'default',
      device_info: { manufacturer: 'Acme', gpu_available: true },
      capabilities: { supports_training: true },
    });
    expect(first.status).toBe(201);
    expect(first.body).toMatchObject({
      status: 'active',
      org_id: 'org_local',
      manufacturer: 'Acme',
      gpu_available: true,
      capabilities: { supports_training: 'true' },
    });
    expect(first.body['registered_at']).toMatch(/T\d\d:\d\d:\d\dZ$/);
    const again = await registered({ device_identifier: 'phone-1' });
    expect([again.status, again.id]).toEqual([200, first.id]);
    for (const method of ['POST', 'PUT']) {
      const beat = await t.call(method, `${SDK}/devices/${first.id}/heartbeat`, {
        body: { battery_pct: null },
        as: 'device',
        idempotent: false,
      });
      expect(beat.body).toMatchObject({ status: 'ok', acknowledged: true, device_identifier: 'phone-1' });
    }
    await t.settle();
    for (const prefix of [SDK, '']) {
      const told = await t.call('GET', `${prefix}/devices/${first.id}/models/fleet/version?include_bucket=true`, {
        as: 'device',
      });
      expect(told.body).toMatchObject({ version: '1.0.0', source: 'default' });
    }
    const id = await started('fleet', '1.1.0', 100);
    await t.settle();
    const told = await t.call('GET', `${SDK}/devices/${first.id}/models/fleet/version?include_bucket=true`, {
      as: 'device',
    });
    expect(told.body).toMatchObject({
      version: '1.1.0',
      source: 'rollout',
      rollout_id: id,
      device_bucket: expect.any(Number),
    });
    const why = await t.call('GET', `${OWN}/devices/${first.id}/models/fleet/why`);
    expect(why.body).toMatchObject({
      version: '1.1.0',
      source: 'rollout',
      rules: expect.arrayContaining([expect.objectContaining({ rule: 'bucket', met: true })]),
    });

    const report = {
      model: 'fleet',
      version: '1.1.0',
      session: 'one',
      seq: 1,
      acked: 0,
      predictions: { ok: 8, failed: 2 },
      latency: { '541': 10 },
    };
    const path = `${OWN}/devices/${first.id}/reports`;
    const counted = await t.call('POST', path, { body: report, as: 'device', idempotent: false });
    expect(counted.body).toEqual({
      duplicate: false,
      forgotten: false,
      attributed: { rollout_id: id, stage: 0, arm: 'canary' },
    });
    expect((await t.call('POST', path, { body: report, as: 'device' })).body).toMatchObject({ duplicate: true });
    const health = await t.call('GET', `${OWN}/rollouts/${id}/health`);
    expect(health.body).toMatchObject({
      canary: { devices: 1, predictions: 10, errors: 2, error_rate: 0.2, latency_p95_ms: expect.any(Number) },
      control: { devices: 0, error_rate: null },
      by_platform: { ios: { canary: { predictions: 10 } } },
    });
    const bad = await t.call('POST', path, { body: { ...report, seq: 2, latency: { '9999': 1 } }, as: 'device' });
    expect(bad.body).toMatchObject({ code: 'invalid_input' });
    const fallen = await t.call('POST', path, {
      body: { ...report, seq: 2, acked: 1, predictions: { ok: 7, failed: 2 } },
      as: 'device',
    });
    expect(fallen).toMatchObject({
      status: 422,
      body: { code: 'counter_fell', retryable: false, errors: [{ pointer: '/predictions/ok' }] },
    });
    const gone = await t.call('POST', path, { body: { ...report, session: 'gone', seq: 3, acked: 2 }, as: 'device' });
    expect(gone.body).toEqual({ duplicate: false, forgotten: true, attributed: null });
    expect((await t.call('GET', `${OWN}/rollouts/${id}/health`)).body).toEqual(health.body);
    // What devices sent before reports had sessions.
    const { session: _, acked: __, ...old } = report;
    const refused = await t.call('POST', path, { body: old, as: 'device' });
    expect(refused).toMatchObject({
      status: 422,
      body: {
        code: 'invalid_input',
        detail: expect.stringMatching(/^\/session is missing: send a random id that the device draws/),
        errors: [{ pointer: '/session' }, { pointer: '/acked' }],
      },
    });
  });

  it('download by link without a key, and only what is published', async () => {
    await t.published('download', '1.0.0');
    const link = await t.call('GET', `${SDK}/models/download/versions/1.0.0/download-url?format=auto`, {
      as: 'device',
    });
    const url = new URL(textOf(link.body, 'url'));
    const bytes = await t.call('GET', url.pathname + url.search, { as: null });
    expect(Buffer.from(bytes.bytes)).toEqual(Buffer.from(weightsOf('1.0.0')));
    expect(bytes.headers.get('x-checksum-sha256')).toBe(link.body['checksum']);
    const json = await t.call('GET', `${SDK}/models/download/versions/1.0.0/download?format=safetensors`, {
      headers: { 'x-org-id': 'default' },
    });
    expect(json.body).toMatchObject({ download_url: expect.any(String), size_bytes: weightsOf('1.0.0').length });
    const raw = await t.call('GET', `${SDK}/models/download/versions/1.0.0/download?format=safetensors`, {
      headers: { 'user-agent': 'python-httpx/0.27', accept: '*/*' },
    });
    expect(raw.headers.get('content-type')).toBe('application/octet-stream');
    const missing = await t.call('GET', `${SDK}/models/download/versions/1.0.0/download?format=coreml`, {
      as: 'device',
    });
    expect(missing.body).toMatchObject({ status: 404, code: 'format_not_available', formats: ['safetensors'] });
    await t.call('POST', `${OWN}/models/download/versions`, { body: { version: '1.0.1' } });
    const draft = await t.call('GET', `${SDK}/models/download/versions/1.0.1/download-url`, { as: 'device' });
    expect(draft.body).toMatchObject({ status: 409, code: 'guard_refused' });
  });

  it('download no version that was rolled back after they were told it', async () => {
    await t.published('recalled', '1.0.0');
    const rollout = await t.call('POST', `${OWN}/models/recalled/rollouts`, {
      body: { version: '1.0.0', preset: 'immediate', start: true },
    });
    const path = `${SDK}/models/recalled/versions/1.0.0/download-url`;
    expect((await t.call('GET', path, { as: 'device' })).status).toBe(200);
    const reason = { body: { reason: 'crashes on load' } };
    expect((await t.call('POST', `${OWN}/rollouts/${rollout.body['id']}/rollback`, reason)).status).toBe(200);
    expect((await t.call('GET', path, { as: 'device' })).body).toMatchObject({ status: 409, code: 'guard_refused' });
    expect((await t.call('GET', path)).status).toBe(200); // people look into what went wrong
  });

  it('are told that there is no work, and when to ask again', async () => {
    const { id } = await registered({ device_identifier: 'phone-idle' });
    const answer = await t.call('POST', `${OWN}/training/checkin`, {
      body: { device_id: id },
      as: 'device',
      idempotent: false,
    });
    expect(answer.body).toMatchObject({ task: null, reason: 'no_round', retry: { min_ms: expect.any(Number) } });
    expect(answer.headers.get('edgeml-reason')).toBe('no_round');
    expect(answer.headers.get('edgeml-retry')).toMatch(/^min=\d+,max=\d+$/);
    const task = `${OWN}/training/tasks/${randomUUID()}`;
    expect((await t.call('HEAD', task, { as: 'device', headers: { 'edgeml-lease': 'x' } })).status).toBe(404);
    const update = {
      raw: new Uint8Array(8),
      as: 'device' as const,
      headers: { 'content-type': 'application/octet-stream' },
    };
    expect((await t.call('PUT', `${task}/update`, update)).body).toMatchObject({ code: 'lease_invalid' });
    expect((await t.call('PUT', `${task}/update`, { ...update, headers: { 'edgeml-lease': 'x' } })).body).toMatchObject(
      { code: 'task_unknown' },
    );
  });
});
