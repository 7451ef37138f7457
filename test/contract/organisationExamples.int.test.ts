/** What one organisation once could do to another on the same server, one by one; and who makes organisations. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { OWN, SDK, textOf, type Body } from './testApi.ts';
import { openTwoOrgs, shaOf, type TwoOrgs } from './orgs/twoOrgs.ts';

let two: TwoOrgs;
beforeAll(async () => {
  two = await openTwoOrgs();
});
afterAll(() => two.t.close());

const octets = { 'content-type': 'application/octet-stream' };
const itemsOf = (body: Body) => body['items'] as Body[]; // the answers of lists fit their schemas
const report = (model: string) => ({
  ...{ model, version: '1.1.0', session: 'first', seq: 1, acked: 0 },
  predictions: { ok: 0, failed: 5_000 },
});

describe('a device of another organisation', () => {
  it('is told no version, whichever API and spelling it asks by', async () => {
    const { a, b, asRoleOfB } = two;
    for (const model of [a.model, a.model.toUpperCase(), `${a.model}:1.0.0`, a.modelName]) {
      for (const path of [
        `${SDK}/devices/${b.device}/models/${model}/version`,
        `/devices/${b.device}/models/${model}/version`,
      ]) {
        expect((await asRoleOfB('device')('GET', path)).body).toMatchObject({ status: 404, code: 'model_not_found' });
      }
      const why = await asRoleOfB('viewer')('GET', `${OWN}/devices/${b.device}/models/${model}/why`);
      expect(why.status).toBe(404);
    }
    expect((await asRoleOfB('device')('GET', `${SDK}/models/${a.model}/versions/1.0.0/download-url`)).status).toBe(404);
  });

  it('is not counted in a rollout, and does not convict it', async () => {
    const { t, a, b, asRoleOfB } = two;
    const health = async () => (await t.call('GET', `${OWN}/rollouts/${a.rollout}/health`)).body;
    const before = await health();
    const devices = [b.device, a.device, a.identifier];
    for (const device of devices) {
      const path = `${OWN}/devices/${device}/reports`;
      expect((await asRoleOfB('device')('POST', path, { body: report(a.model) })).status).toBe(404);
    }
    expect(await health()).toEqual(before);
    expect((await t.call('GET', `${OWN}/rollouts/${a.rollout}`)).body).toMatchObject({ status: 'active' });
  });

  it('gets no task of a run, and cannot touch one by its lease', async () => {
    const { t, a, b, asRoleOfB } = two;
    const asDevice = asRoleOfB('device');
    const headers = { 'edgeml-lease': a.lease };
    const named = { device_id: b.device, runs: [a.run] };
    expect((await asDevice('POST', `${OWN}/training/checkin`, { body: named })).status).toBe(404);
    const open = await asDevice('POST', `${OWN}/training/checkin`, { body: { device_id: b.device } });
    expect(open.body).toMatchObject({ task: null, reason: 'no_round' });
    const task = `${OWN}/training/tasks/${a.task}`;
    const update = { raw: new Uint8Array(64), headers: { ...headers, ...octets } };
    expect((await asDevice('HEAD', task, { headers })).status).toBe(404);
    expect((await asDevice('PUT', `${task}/update`, update)).body).toMatchObject({ code: 'task_unknown' });
    expect(
      (await asDevice('POST', `${task}/abort`, { headers, body: { phase: 'train', reason: 'B asks' } })).status,
    ).toBe(404);
    expect((await t.call('HEAD', task, { headers })).status).toBe(200);
  });

  it('with the same identifier is another device', async () => {
    const { a, asRoleOfB } = two;
    const body = { device_identifier: a.identifier, platform: 'android' };
    const made = await asRoleOfB('device')('POST', `${SDK}/devices/register`, { body });
    expect(made.status).toBe(201);
    expect(made.body['id']).not.toBe(a.device);
  });
});

describe('a hash alone', () => {
  it.each(['auditor', 'admin', 'operator'] as const)('opens nothing to an %s of another organisation', async (role) => {
    const { a, asRoleOfB } = two;
    for (const path of [`${OWN}/blobs/${a.blob}`, `/blobs/${a.blob}`]) {
      expect((await asRoleOfB(role)('GET', path)).body).toMatchObject({ status: 404, code: 'blob_unknown' });
      expect((await asRoleOfB(role)('HEAD', path)).status).toBe(404);
      expect((await asRoleOfB(role)('GET', path, { headers: { 'if-none-match': '*' } })).status).toBe(404);
    }
  });

  it('becomes no file of a version, and no claim to bytes that were never sent', async () => {
    const { a, b, asB } = two;
    const body = { files: [{ format: 'safetensors', sha256: a.weights }] };
    const attach = () => asB('POST', `${OWN}/models/${b.model}/versions/2.0.0/artifact`, { body });
    expect((await attach()).body).toMatchObject({ code: 'blob_unknown' });
    const path = `${OWN}/blobs/${a.weights}`;
    for (const raw of [new Uint8Array(0), new Uint8Array(80)]) {
      expect((await asB('PUT', path, { raw, headers: octets })).body).toMatchObject({ code: 'checksum_mismatch' });
    }
    expect((await asB('GET', path)).status).toBe(404);
    expect((await attach()).body).toMatchObject({ code: 'blob_unknown' });
  });

  it('is told to be new to whoever sends the same bytes, who then has them', async () => {
    const { t, a, b, asB } = two;
    const bytes = new Uint8Array(Buffer.from('bytes of A'));
    const path = `${OWN}/blobs/${shaOf(bytes)}`;
    const put = () => asB('PUT', path, { raw: bytes, headers: octets });
    expect([(await put()).status, (await put()).status]).toEqual([201, 200]);
    expect(Buffer.from((await asB('GET', path)).bytes).toString()).toBe('bytes of A');
    const body = { files: [{ format: 'notes', sha256: a.blob }] };
    expect((await asB('POST', `${OWN}/models/${b.model}/versions/2.0.0/artifact`, { body })).status).toBe(200);
    expect((await t.call('GET', path)).status).toBe(200);
  });

  it('is answered for the holder of the key; a signed link for everyone who has it', async () => {
    const { t, a, asB } = two;
    const byKey = await t.call('GET', `${OWN}/blobs/${a.weights}`);
    expect(byKey.headers.get('cache-control')).toMatch(/^private/);
    const link = await t.call('GET', `${SDK}/models/${a.model}/versions/${a.version}/download-url`);
    const { pathname, search } = new URL(textOf(link.body, 'url'));
    for (const answer of [await t.call('GET', pathname + search, { as: null }), await asB('GET', pathname + search)]) {
      expect(answer.status).toBe(200);
      expect(answer.headers.get('cache-control')).toMatch(/^public/);
    }
    // The signature is of one hash: it opens no other.
    expect((await asB('GET', `/blobs/${a.weights}${search}`)).status).toBe(403);
  });
});

describe('lists', () => {
  it.each(['admin', 'operator', 'auditor', 'viewer', 'monitor'] as const)(
    'show an %s nothing of another organisation',
    async (role) => {
      const { a, asRoleOfB } = two;
      for (const list of ['events', 'rollouts', 'training', 'models']) {
        const answer = await asRoleOfB(role)('GET', `${OWN}/${list}?limit=500`);
        expect([200, 403]).toContain(answer.status);
        const text = JSON.stringify(answer.body);
        expect([a.model, a.learner, a.run, 'org_local'].filter((id) => text.includes(id))).toEqual([]);
      }
    },
  );

  it('read at a point that only another organisation knows answer as for no such event', async () => {
    const { t, a, b, asB } = two;
    const nobodys = randomUUID();
    for (const query of ['as_of=event:', 'min_position=event:']) {
      for (const path of [`${OWN}/rollouts`, `${OWN}/models/${b.model}/versions`]) {
        const [of, none] = [
          await asB('GET', `${path}?${query}${a.event}`),
          await asB('GET', `${path}?${query}${nobodys}`),
        ];
        expect([of.status, of.body['code']]).toEqual([none.status, none.body['code']]);
        expect(textOf(of.body, 'detail').replace(a.event, '')).toBe(textOf(none.body, 'detail').replace(nobodys, ''));
      }
    }
    expect((await t.call('GET', `${OWN}/rollouts?as_of=event:${a.event}`)).status).toBe(200);
  });
});

describe('the same words in two organisations', () => {
  it('an idempotency key is of the key that sent it', async () => {
    const { t, asB } = two;
    const headers = { 'idempotency-key': 'the-same' };
    const body = { name: 'twice', framework: 'f', use_case: 'u' };
    const ofA = await t.call('POST', `${OWN}/models`, { body, headers });
    const ofB = await asB('POST', `${OWN}/models`, { body, headers });
    expect([ofA.status, ofB.status]).toEqual([201, 201]);
    expect(ofB.body).toMatchObject({ org_id: 'org_b', name: 'twice' });
    expect(ofB.body['id']).not.toBe(ofA.body['id']);
    const again = await asB('POST', `${OWN}/models`, { body, headers });
    expect([again.status, again.body['id']]).toEqual([200, ofB.body['id']]);
    const other = await asB('POST', `${OWN}/models`, { body: { ...body, name: 'other' }, headers });
    expect(other.body).toMatchObject({ code: 'idempotency_key_reused' });
  });

  it('a contract that names another organisation gives it nothing', async () => {
    const { t, asB } = two;
    const body = { name: 'liar', framework: 'f', use_case: '"org_id":"org_local"', contract: { org_id: 'org_local' } };
    const made = await asB('POST', `${OWN}/models`, { body });
    expect(made.body).toMatchObject({ org_id: 'org_b' });
    const path = `${OWN}/models/${textOf(made.body, 'id')}`;
    expect([(await asB('GET', path)).status, (await t.call('GET', path)).status]).toEqual([200, 404]);
    await t.settle();
    const ofA = itemsOf((await t.call('GET', `${OWN}/models?limit=500`)).body);
    expect(new Set(ofA.map((m) => m['org_id']))).toEqual(new Set(['org_local']));
  });
});

describe('organisations', () => {
  it('are made by who operates the instance, and by nobody else', async () => {
    const { t, b } = two;
    const body = { id: 'org_c', name: 'C' };
    for (const as of ['operator', 'auditor', { secret: b.admin }] as const) {
      expect((await t.call('POST', `${OWN}/orgs`, { body, as })).body).toMatchObject({ code: 'insufficient_scope' });
      expect((await t.call('GET', `${OWN}/orgs`, { as })).status).toBe(403);
    }
    const made = await t.call('POST', `${OWN}/orgs`, { body, as: 'instance' });
    expect(made.status).toBe(201);
    expect((await t.call('POST', `${OWN}/orgs`, { body, as: 'instance' })).body).toMatchObject({
      status: 409,
      code: 'conflict',
    });
    for (const id of ['default', 'with space', '-dash', 'a/b', 'ü']) {
      const refused = await t.call('POST', `${OWN}/orgs`, { body: { id, name: 'D' }, as: 'instance' });
      expect(refused.body).toMatchObject({ status: 422, code: 'invalid_input', errors: [{ pointer: '/id' }] });
    }
    const ids = itemsOf((await t.call('GET', `${OWN}/orgs`, { as: 'instance' })).body).map((org) => org['id']);
    expect(ids).toEqual(expect.arrayContaining(['org_b', 'org_c']));

    const as = { secret: textOf(made.body['admin_key'] as Body, 'key') };
    for (const list of ['models', 'rollouts', 'training', 'events']) {
      expect(itemsOf((await t.call('GET', `${OWN}/${list}`, { as })).body)).toEqual([]);
    }
    expect((await t.call('GET', `${OWN}/access/me`, { as })).body).toMatchObject({ org_id: 'org_c', roles: ['admin'] });
  });

  it('have admins who are not operators of the instance and cannot become it', async () => {
    const { t, a, b } = two;
    const as = { secret: b.admin };
    const make = (roles: readonly string[]) => t.call('POST', `${OWN}/keys`, { body: { name: 'k', roles }, as });
    for (const roles of [['instance'], ['admin', 'instance']]) {
      expect((await make(roles)).body).toMatchObject({ status: 403, code: 'insufficient_scope' });
    }
    expect((await make(['auditor'])).status).toBe(201);
    expect((await t.call('POST', `${OWN}/keys/${a.key}/revoke`, { body: {}, as })).body).toMatchObject({
      code: 'key_not_found',
    });
  });

  it('do not read the whole log: its check is for the operator, who in turn reads no organisation', async () => {
    const { t, asRoleOfB } = two;
    const verify = { body: { fast: true } };
    expect((await asRoleOfB('auditor')('POST', `${OWN}/audit/verify`, verify)).status).toBe(403);
    expect((await t.call('POST', `${OWN}/audit/verify`, { ...verify, as: 'auditor' })).status).toBe(403);
    expect((await t.call('POST', `${OWN}/audit/verify`, { ...verify, as: 'instance' })).status).toBe(200);
    for (const list of ['models', 'rollouts', 'events', 'keys']) {
      expect((await t.call('GET', `${OWN}/${list}`, { as: 'instance' })).status).toBe(403);
    }
  });
});
