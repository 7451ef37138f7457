/** Bad input at each API: a clear answer, and nothing written. Long: a table. */
import { asOrgId } from '../../domain/org.ts';
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { OWN, openTestApi, SDK, type TestApi } from './testApi.ts';
import { expectRefused } from './expectRefused.ts';

let t: TestApi;
let modelId: string;
let rolloutId: number;
beforeAll(async () => {
  t = await openTestApi();
  modelId = await t.published('refusals', '1.0.0', '1.1.0');
  const spec = { version: '1.0.0', stages: [{ percent: 100, ramp: '0s', min_bake: '1h', max_bake: '2h' }] };
  const rollout = await t.call('POST', `${OWN}/models/refusals/rollouts`, { body: spec });
  rolloutId = Number(rollout.body['id']);
  await t.settle();
});
afterAll(() => t.close());

const refused = expectRefused(() => t);

const JSON_TYPE = { 'content-type': 'application/json' };

/** Every JSON route that changes something: method, path, a body that fits, scope. */
const writes = (): [path: string, body: Record<string, unknown>][] => [
  [`${OWN}/models`, { name: 'x', framework: 'f', use_case: 'u' }],
  [`${OWN}/models/refusals/versions`, { version: '2.0.0' }],
  [`${OWN}/models/refusals/versions/1.0.0/artifact`, { files: [{ format: 'onnx', sha256: 'a'.repeat(64) }] }],
  [`${OWN}/models/refusals/versions/1.0.0/publish`, {}],
  [`${OWN}/models/refusals/versions/1.0.0/publish/cancel`, { reason: 'r' }],
  [`${OWN}/models/refusals/train`, { new_version: '2.0.0', base_version: '1.0.0' }],
  [`${OWN}/models/refusals/rollouts`, { version: '1.0.0' }],
  [`${OWN}/models/refusals/rollback`, { reason: 'bad' }],
  [`${OWN}/rollouts/${rolloutId}/start`, {}],
  [`${OWN}/rollouts/${rolloutId}/pause`, { reason: 'r' }],
  [`${OWN}/rollouts/${rolloutId}/resume`, {}],
  [`${OWN}/rollouts/${rolloutId}/advance`, {}],
  [`${OWN}/rollouts/${rolloutId}/abort`, { reason: 'r' }],
  [`${OWN}/rollouts/${rolloutId}/rollback`, { reason: 'r' }],
  [`${OWN}/rollouts/${rolloutId}/root-cause`, { text: 'r' }],
  [`${OWN}/training/${randomUUID()}/pause`, { reason: 'r' }],
  [`${OWN}/training/${randomUUID()}/resume`, {}],
  [`${OWN}/training/${randomUUID()}/stop`, {}],
  [`${OWN}/training/${randomUUID()}/abort`, { reason: 'r' }],
  [`${OWN}/training/checkin`, { device_id: 'd' }],
  [`${OWN}/training/tasks/${randomUUID()}/abort`, { phase: 'fit', reason: 'r' }],
  [`${OWN}/devices/d/reports`, { model: 'refusals', version: '1.0.0', session: 's', seq: 1, acked: 0 }],
  [`${OWN}/keys`, { name: 'k', roles: ['viewer'] }],
  [`${OWN}/orgs`, { name: 'o' }],
  [`${OWN}/audit/verify`, { fast: true }],
];

describe('every route of the Lifecycle API that takes a body', () => {
  it('names an unknown member by its pointer', async () => {
    for (const [path, body] of writes()) {
      const answer = await refused('POST', path, { body: { ...body, 'a/b': 1 } }, 'unknown_field');
      expect(answer.body['errors'], path).toMatchObject([{ pointer: '/a~1b' }]);
    }
  });

  it('says where a text stops being JSON', async () => {
    for (const [path] of writes()) {
      const answer = await refused('POST', path, { raw: '{"reason": tru', headers: JSON_TYPE }, 'invalid_json');
      expect(answer.body['detail'], path).toMatch(/line 1, column \d+/);
    }
  });

  it('is not kept busy by a mebibyte of quotes that never close, with or without a key', async () => {
    const raw = `{${'\\"'.repeat(300_000)}`;
    await refused('POST', `${OWN}/models`, { raw, headers: JSON_TYPE }, 'invalid_json');
    const keyless = await fetch(`${t.url}${OWN}/nothing`, { method: 'POST', headers: JSON_TYPE, body: raw });
    expect(keyless.status).toBe(400);
  });

  it('refuses a bare NaN and names its place, but takes the word in a text', async () => {
    for (const [path] of writes()) {
      const answer = await refused(
        'POST',
        path,
        { raw: '{"a": "NaN",\n "b": NaN}', headers: JSON_TYPE },
        'invalid_json',
      );
      expect(answer.body['detail'], path).toContain('NaN at line 2, column 7');
    }
  });

  it('refuses a body that is no object, and one above 1 MiB', async () => {
    for (const [path] of writes()) {
      await refused('POST', path, { raw: '[1]', headers: JSON_TYPE }, 'invalid_input');
      const huge = JSON.stringify({ reason: 'x'.repeat(1024 * 1024) });
      await refused('POST', path, { raw: huge, headers: JSON_TYPE }, 'payload_too_large');
    }
  });

  it('refuses another media type', async () => {
    for (const [path] of writes()) {
      await refused('POST', path, { raw: 'a=b', headers: { 'content-type': 'text/csv' } }, 'unsupported_media_type');
    }
  });

  it('wants a key it knows, with WWW-Authenticate', async () => {
    for (const [path, body] of writes()) {
      const none = await refused('POST', path, { body, as: null }, 'invalid_api_key');
      expect(none.headers.get('www-authenticate')).toMatch(/^Bearer/);
      await refused('POST', path, { body, as: { secret: `ek_test_${'x'.repeat(38)}` } }, 'invalid_api_key');
    }
  });

  it('wants a role that may, and says which scope is missing', async () => {
    for (const [path, body] of writes()) {
      const answer = await refused('POST', path, { body, as: 'viewer' }, 'insufficient_scope');
      expect(answer.body['required_scope'], path).toMatch(/^\w+:\w+$/);
      expect(answer.body['why'], path).toMatchObject([{ rule: 'scope', met: false }]);
    }
  });

  it('wants an Idempotency-Key, unless it is a stop or a call of a device', async () => {
    const free = /\/(pause|abort|rollback|stop|cancel|checkin|reports|keys|orgs|verify)$/;
    for (const [path, body] of writes().filter(([p]) => !free.test(p))) {
      await refused('POST', path, { body, idempotent: false }, 'idempotency_key_required');
      await refused('POST', path, { body, headers: { 'idempotency-key': 'a b' } }, 'invalid_input');
    }
  });
});

describe('a missing or wrong member', () => {
  it.each([
    ['/models', { framework: 'f', use_case: 'u' }, '/name'],
    ['/models', { name: 'a:b', framework: 'f', use_case: 'u' }, '/name'],
    [
      '/models/refusals/rollouts',
      { version: '1.0.0', stages: [{ percent: 50 }, { percent: 20 }] },
      '/stages/1/percent',
    ],
    ['/models/refusals/rollouts', { version: '1.0.0', stages: [{ percent: 0 }] }, '/stages/0/percent'],
    ['/models/refusals/rollouts', { version: '1.0.0', look: 'soon' }, '/look'],
    ['/models/refusals/rollouts', { version: '1.0.0', look: '999999999999d' }, '/look'],
    ['/models/refusals/train', { new_version: '2.0.0', rounds: 0 }, '/rounds'],
    ['/models/refusals/train', { new_version: '2.0.0', windows: { report: '999999999999d' } }, '/windows/report'],
    ['/models/refusals/train', { new_version: '2.0.0', rounds: 9_999, windows: { report: '365d' } }, '/rounds'],
    ['/models/refusals/train', { new_version: '2.0.0', client: { epochs: 1e15 } }, '/client/epochs'],
    ['/keys', { name: 'k', roles: ['root'] }, '/roles/0'],
  ])('%s %j: %s', async (path, body, pointer) => {
    const answer = await refused('POST', OWN + path, { body }, 'invalid_input');
    expect((answer.body['errors'] as { pointer: string }[]).map((e) => e.pointer)).toContain(pointer);
  });

  it('wants a reason to pause, abort and roll back', async () => {
    for (const verb of ['pause', 'abort', 'rollback']) {
      await refused('POST', `${OWN}/rollouts/${rolloutId}/${verb}`, { body: {} }, 'invalid_input');
    }
  });
});

describe('a number that nothing here could hold', () => {
  it('has no graph to build: a hundred million weights are the most', async () => {
    const architecture = { kind: 'mlp:relu:softmax', input_dim: 1_000_000, hidden_dim: 1_000_000, output_dim: 2 };
    const body = { name: 'wide', framework: 'f', use_case: 'u', architecture };
    const { errors } = (await refused('POST', `${OWN}/models`, { body }, 'architecture_mismatch')).body;
    expect(errors).toMatchObject([{ pointer: '/architecture/hidden_dim' }]);
  });

  it.each([
    `${OWN}/events?from=1e300`,
    `${OWN}/events?from=99999999999999999999`,
    `${SDK}/models?offset=1e300`,
    `${SDK}/models/refusals/versions?limit=1e19`,
  ])('%s', async (path) => {
    await refused('GET', path, {}, 'invalid_input');
  });

  it.each([
    [{ increment_step: 0.0001 }, '/increment_step'],
    [{ rollout_percentage: 0.01, increment_step: 0.01 }, '/increment_step'],
    [{ rollout_percentage: 1e300 }, '/rollout_percentage'],
  ])('a deploy of the EdgeML API by %j', async (numbers, pointer) => {
    const body = { version: '1.1.0', ...numbers };
    const { errors } = (await refused('POST', `${SDK}/models/refusals/rollouts`, { body }, 'invalid_input')).body;
    expect((errors as { pointer: string }[]).map((e) => e.pointer)).toContain(pointer);
  });
});

describe('what does not exist', () => {
  it.each([
    ['GET', `${OWN}/models/nobody`, 'model_not_found'],
    ['GET', `${OWN}/models/nobody/versions`, 'model_not_found'],
    ['GET', `${OWN}/models/nobody/lineage`, 'model_not_found'],
    ['GET', `${OWN}/models/refusals/versions/9.9.9`, 'version_not_found'],
    ['GET', `${OWN}/rollouts/999999`, 'rollout_not_found'],
    ['GET', `${OWN}/rollouts/999999/health`, 'rollout_not_found'],
    ['GET', `${OWN}/rollouts/999999/post-mortem`, 'rollout_not_found'],
    ['GET', `${OWN}/training/${randomUUID()}`, 'training_not_found'],
    ['GET', `${OWN}/training/${randomUUID()}/rounds`, 'training_not_found'],
    ['GET', `${OWN}/operations/publish:x@1.0.0:1`, 'operation_not_found'],
    ['GET', `${OWN}/operations/nonsense`, 'operation_not_found'],
    ['GET', `${OWN}/events/${randomUUID()}`, 'event_not_found'],
    ['GET', `${OWN}/streams/rollout-999999`, 'stream_not_found'],
    ['GET', `${OWN}/streams/nonsense`, 'stream_not_found'],
    ['GET', `${OWN}/audit/replay?stream=model-x`, 'stream_not_found'],
    ['GET', `${OWN}/blobs/${'0'.repeat(64)}`, 'blob_unknown'],
    ['GET', `${OWN}/devices/nobody/models/refusals/why`, 'device_not_registered'],
    ['POST', `${OWN}/models/nobody/rollback`, 'model_not_found'],
    ['GET', `${SDK}/models/nobody`, 'model_not_found'],
    ['GET', `${SDK}/models/refusals/versions/9.9.9`, 'version_not_found'],
    ['GET', `${SDK}/models/refusals/rollouts/999999`, 'rollout_not_found'],
    ['POST', `${SDK}/devices/nobody/heartbeat`, 'device_not_registered'],
    ['GET', `${SDK}/devices/nobody/models/refusals/version`, 'device_not_registered'],
    ['GET', '/devices/nobody/models/refusals/version', 'device_not_registered'],
    ['GET', `${SDK}/nothing`, 'route_not_found'],
  ])('%s %s: %s', async (method, path, code) => {
    await refused(method, path, method === 'POST' && path.startsWith(OWN) ? { body: { reason: 'r' } } : {}, code);
  });
});

describe('lists and time travel', () => {
  it('refuse a cursor of another list, a position past the head and a query member they do not know', async () => {
    await refused('GET', `${OWN}/models?cursor=abc`, {}, 'bad_cursor');
    await refused('GET', `${OWN}/models?as_of=99999999`, {}, 'as_of_in_future');
    await refused('GET', `${OWN}/models?min_position=tomorrow`, {}, 'invalid_input');
    await refused('GET', `${OWN}/models?limit=0`, {}, 'invalid_input');
    await refused('GET', `${OWN}/models?page=2`, {}, 'unknown_field');
    await refused('GET', `${OWN}/rollouts/${rolloutId}/health?as_of=0`, {}, 'as_of_not_supported');
    const behind = await refused(
      'GET',
      `${OWN}/models?min_position=99999999`,
      { headers: { prefer: 'wait=0' } },
      'projection_behind',
    );
    expect(behind.headers.get('retry-after')).toBe('1');
  });
});

describe('versions', () => {
  it('must be strict, new and above their line', async () => {
    const draft = (version: string) => ({ body: { version } });
    await refused('POST', `${OWN}/models/refusals/versions`, draft('v1.2'), 'invalid_version');
    await refused(
      'POST',
      `${OWN}/models/refusals/versions`,
      { body: { version: '3.0.0', parent: '2.9.9' } },
      'parent_not_found',
    );
    const duplicate = await refused('POST', `${OWN}/models/refusals/versions`, draft('1.0.0'), 'conflict');
    expect(duplicate.body).toMatchObject({
      state: 'Published',
      command: 'draft',
      guards: [{ name: 'newVersion', met: false }],
    });
    const train = { body: { new_version: '1.0.0', base_version: '1.1.0' } };
    await refused('POST', `${OWN}/models/refusals/train`, train, 'version_reserved');
    const format = { body: { formats: ['onnx', 'gguf', 'ONNX'] } };
    const unknown = await refused('POST', `${OWN}/models/refusals/versions/1.0.0/publish`, format, 'invalid_input');
    expect(unknown.body).toMatchObject({
      status: 422,
      errors: [{ pointer: '/formats/1' }, { pointer: '/formats/2' }],
      formats: ['onnx', 'safetensors'],
    });
  });
});

describe('the EdgeML API', () => {
  it('ignores what it does not know, takes null as absent, and needs no Idempotency-Key', async () => {
    const body = {
      name: 'sdk-model',
      framework: 'pytorch',
      use_case: 'u',
      description: null,
      extra: { a: 1 },
      org_id: 'default',
    };
    const made = await t.call('POST', `${SDK}/models`, { body, idempotent: false });
    expect(made.status).toBe(201);
    expect(made.body).toMatchObject({
      name: 'sdk-model',
      org_id: 'org_local',
      version_count: 0,
      lifecycle_state: 'Draft',
    });
    expect((await t.call('POST', `${SDK}/models/`, { body, idempotent: false })).status).toBe(200);
    await refused('POST', `${SDK}/models`, { body: { ...body, org_id: 'other' } }, 'forbidden');
    await refused('POST', `${SDK}/models`, { body: { ...body, name: 'latest' } }, 'invalid_input');
    await refused('POST', `${SDK}/models`, { raw: '{"name": NaN}', headers: JSON_TYPE }, 'invalid_json');
    await refused('POST', `${SDK}/models`, { body: { name: 'x' } }, 'invalid_input');
  });

  it('serves health with a good key, without one, and not with an unknown one, at both places', async () => {
    for (const path of ['/health', `${SDK}/health`]) {
      expect((await t.call('GET', path, { as: null })).body).toMatchObject({ status: 'ok' });
      expect((await t.call('GET', path)).status).toBe(200);
      await refused('GET', path, { as: { secret: 'ek_live_unknown' } }, 'invalid_api_key');
    }
  });

  it('tells nobody of another organisation a fact by its id', async () => {
    const other = {
      name: 'other',
      orgId: asOrgId('org_other'),
      roles: ['admin'],
      createdBy: 'test',
      kind: 'test' as const,
    };
    const { secret } = await t.api.keys.createKey(other);
    const listed = await t.call('GET', `${OWN}/streams/model-${modelId}`);
    const [first] = listed.body['events'] as { id: string }[]; // the schema of the route says so
    expect((await t.call('GET', `${OWN}/events/${first!.id}`)).body).toMatchObject({ id: first!.id });
    await refused('GET', `${OWN}/events/${first!.id}`, { as: { secret } }, 'event_not_found');
    await refused('GET', `${OWN}/streams/model-${modelId}`, { as: { secret } }, 'stream_not_found');
  });

  it('keeps percentages within their bounds', async () => {
    const path = `${SDK}/models/${modelId}/rollouts`;
    await refused(
      'POST',
      path,
      { body: { version: '1.0.0', rollout_percentage: 50, target_percentage: 20 } },
      'invalid_input',
    );
    await refused('POST', path, { body: { version: '1.0.0', increment_step: 0 } }, 'invalid_input');
    await refused('POST', path, { body: { version: '1.0.0', rollout_percentage: 10.001 } }, 'invalid_input');
    await refused('POST', path, { body: { version: '9.9.9' } }, 'version_not_found');
  });
});
