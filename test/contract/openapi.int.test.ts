/** Both APIs over real HTTP: what is answered is what is documented, and what is refused writes nothing. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { OWN, openTestApi, textOf, type TestApi } from './testApi.ts';

let t: TestApi;
beforeAll(async () => {
  t = await openTestApi();
});
afterAll(() => t.close());

const model = (name: string) => ({ name, framework: 'pytorch', use_case: 'fraud' });

describe('the root', () => {
  it('is alive and ready, shows metrics and its own description', async () => {
    expect((await t.call('GET', '/livez', { as: null })).body).toEqual({ status: 'ok' });
    expect((await t.call('GET', '/healthz', { as: null })).status).toBe(200);
    expect((await t.call('GET', '/readyz', { as: null })).body).toMatchObject({ status: 'ok' });
    const metrics = await fetch(`${t.url}/metrics`);
    expect(await metrics.text()).toMatch(/^edgeml_projection_lag_events\{projection="catalog"\} \d+$/m);
    const document: unknown = await (await fetch(`${t.url}/openapi.json`)).json();
    expect(document).toMatchObject({ openapi: '3.1.0' });
    expect(t.contract.compileAll()).toBeGreaterThan(300);
  });

  it('answers every error code at the address that problems name', async () => {
    const missing = await t.call('GET', `${OWN}/models/nobody`);
    expect(missing.status).toBe(404);
    const { pathname } = new URL(textOf(missing.body, 'type'));
    expect((await t.call('GET', pathname, { as: null })).body).toMatchObject({ code: 'model_not_found', status: 404 });
  });

  it('says of an unknown path which one it was, in no words that SDKs retry on', async () => {
    const answer = await t.call('GET', '/nothing/here');
    expect(answer.status).toBe(404);
    expect(answer.body).toMatchObject({
      code: 'route_not_found',
      detail: expect.stringContaining('GET /nothing/here'),
    });
  });
});

describe('models', () => {
  it('are made once, found by id and by name in any case, and listed', async () => {
    const body = { ...model('Spam-Filter'), architecture: { kind: 'mlp:relu:sigmoid', input_dim: 4, output_dim: 1 } };
    const made = await t.call('POST', `${OWN}/models`, { body });
    expect(made.status).toBe(201);
    expect(made.body).toMatchObject({ name: 'Spam-Filter', org_id: 'org_local', stable_version: null, versions: [] });
    expect(made.body['events']).toHaveLength(2);
    expect(made.headers.get('etag')).toMatch(/^"2-[0-9a-f]{16}"$/);
    const again = await t.call('POST', `${OWN}/models`, { body });
    expect([again.status, again.body['id'], again.body['events']]).toEqual([200, made.body['id'], []]);

    const id = textOf(made.body, 'id');
    for (const name of [id, 'spam-filter', 'SPAM-FILTER:7b']) {
      expect((await t.call('GET', `${OWN}/models/${name}`)).body['id']).toBe(id);
    }
    const last = Number(made.body['position']);
    const list = await t.call('GET', `${OWN}/models?min_position=${last}&name_contains=spam`);
    expect(list.body).toMatchObject({ items: [{ id, name: 'Spam-Filter', version_count: 0 }], next_cursor: null });
  });

  it('answers 304 to who has this version', async () => {
    const made = await t.call('POST', `${OWN}/models`, { body: model('etag') });
    const etag = made.headers.get('etag')!;
    const path = `${OWN}/models/etag`;
    expect((await t.call('GET', path, { headers: { 'if-none-match': etag } })).status).toBe(304);
    expect((await t.call('GET', path, { headers: { 'if-none-match': '"99"' } })).status).toBe(200);
  });

  it('shows what was true at a position, by event and by time', async () => {
    const made = await t.call('POST', `${OWN}/models`, { body: model('as-of') });
    const [event] = made.body['events'] as { id: string }[];
    await t.settle();
    const position = (await t.api.deps.log.logIndexOf(event!.id))!;
    const path = `${OWN}/models/as-of?as_of=`;
    const then = await t.call('GET', path + String(position));
    expect(then.status).toBe(200);
    expect(then.headers.get('edgeml-position')).toBe(String(position));
    expect((await t.call('GET', path + String(position - 1))).body).toMatchObject({ code: 'model_not_found' });
    expect((await t.call('GET', `${path}event:${event!.id}`)).status).toBe(200);
    expect((await t.call('GET', `${path}999999`)).body).toMatchObject({ status: 400, code: 'as_of_in_future' });
    expect((await t.call('GET', `${path}yesterday`)).body).toMatchObject({ status: 422, code: 'invalid_input' });
  });

  it('refuses another framework for the same name, with the guard that says so', async () => {
    await t.call('POST', `${OWN}/models`, { body: model('taken') });
    const before = await t.facts();
    const answer = await t.call('POST', `${OWN}/models`, { body: { ...model('TAKEN'), framework: 'jax' } });
    expect(answer.status).toBe(409);
    expect(answer.body).toMatchObject({
      code: 'conflict',
      command: 'register',
      guards: [{ name: 'sameModel', met: false }],
    });
    expect(await t.facts()).toBe(before);
  });
});

describe('idempotency', () => {
  it('gives the first outcome to a repeat, in any state since', async () => {
    const key = { 'idempotency-key': randomUUID() };
    const body = { ...model('repeat') };
    const first = await t.call('POST', `${OWN}/models`, { body, headers: key });
    const before = await t.facts();
    const again = await t.call('POST', `${OWN}/models`, {
      body,
      headers: { 'idempotency-key': `"${key['idempotency-key']}"` },
    });
    expect(again.headers.get('idempotency-replayed')).toBe('true');
    expect(again.body['events']).toEqual(first.body['events']);
    expect(await t.facts()).toBe(before);
  });

  it('refuses a key that was used for another body, and for another route', async () => {
    const headers = { 'idempotency-key': randomUUID() };
    await t.call('POST', `${OWN}/models`, { body: model('reuse'), headers });
    const before = await t.facts();
    const other = await t.call('POST', `${OWN}/models`, { body: model('reuse-2'), headers });
    expect(other.body).toMatchObject({ status: 422, code: 'idempotency_key_reused' });
    const route = await t.call('POST', `${OWN}/models/reuse/versions`, { body: { version: '1.0.0' }, headers });
    expect(route.body).toMatchObject({ status: 422, code: 'idempotency_key_reused' });
    expect(await t.facts()).toBe(before);
  });

  it('is required on the Lifecycle API, and two principals may use one key', async () => {
    const without = await t.call('POST', `${OWN}/models`, { body: model('no-key'), idempotent: false });
    expect(without.body).toMatchObject({ status: 400, code: 'idempotency_key_required' });
    const headers = { 'idempotency-key': 'shared' };
    expect((await t.call('POST', `${OWN}/models`, { body: model('shared-1'), headers })).status).toBe(201);
    const other = await t.call('POST', `${OWN}/models`, { body: model('shared-2'), headers, as: 'operator' });
    expect(other.status).toBe(201);
  });
});

describe('a dry run', () => {
  it('says what would be appended, and appends nothing', async () => {
    const before = await t.facts();
    const answer = await t.call('POST', `${OWN}/models?dry_run=true`, { body: model('dry') });
    expect(answer.status).toBe(200);
    expect(answer.body).toMatchObject({ would_append: [{ type: 'ModelRegistered' }], guards: [] });
    expect(await t.facts()).toBe(before);
    expect((await t.call('GET', `${OWN}/models/dry`)).status).toBe(404);
  });
});
