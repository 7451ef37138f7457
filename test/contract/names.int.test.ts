/** A name that one API takes is found again at both, in every spelling; one that could not be found is refused at both. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { OWN, openTestApi, SDK, textOf, type TestApi } from './testApi.ts';

let t: TestApi;
beforeAll(async () => {
  t = await openTestApi();
});
afterAll(() => t.close());

const model = (name: string) => ({ name, framework: 'pytorch', use_case: 'fraud' });
const at = (api: string, name: string) => `${api}/models/${encodeURIComponent(name)}`;

describe.each([
  [OWN, SDK],
  [SDK, OWN],
])('a model made at %s', (api, other) => {
  const word = api === OWN ? 'own' : 'sdk';

  it.each([
    [` ${word}-trail\u2003`, `${word}-trail`],
    [`${word}-cafe\u0301`, `${word}-caf\u00e9`],
  ])('as %j is called %j, and says so', async (sent, name) => {
    const made = await t.call('POST', `${api}/models`, { body: model(sent) });
    expect(made).toMatchObject({
      status: 201,
      body: { name, warnings: [expect.stringContaining(JSON.stringify(name))] },
    });
    const id = textOf(made.body, 'id');
    for (const [asked, at_] of [
      [sent, api],
      [name, other],
      [name.toUpperCase().normalize('NFD'), api],
      [`${name.normalize('NFD')}:7b`, other],
      [id.toUpperCase(), other],
    ] as const) {
      expect((await t.call('GET', at(at_, asked))).body['id']).toBe(id);
    }
    const again = await t.call('POST', `${other}/models`, { body: model(name) });
    expect(again).toMatchObject({ status: 200, body: { id, name } });
    expect(again.body).not.toHaveProperty('warnings');
  });

  it.each([
    '0199f0a4-7c1e-7d2a-8a3b-0123456789ab',
    'a:b',
    'a/b',
    'latest',
    '..',
    ' ',
    'a\tb',
    'a\u202eb',
    'a\u200bb',
    'x'.repeat(201),
  ])('cannot be called %j', async (name) => {
    const before = await t.facts();
    const answer = await t.call('POST', `${api}/models`, { body: model(name) });
    expect(answer).toMatchObject({ status: 422, body: { code: 'invalid_input', errors: [{ pointer: '/name' }] } });
    expect(await t.facts()).toBe(before);
  });

  it('may have the longest name there is, spelled in the longest way', async () => {
    const name = `${word}${'\u1ea4'.repeat(197)}`; // one letter that is three, apart
    const made = await t.call('POST', `${api}/models`, { body: model(name.normalize('NFD')) });
    expect(made).toMatchObject({ status: 201, body: { name } });
    expect((await t.call('GET', at(other, name.normalize('NFD')))).body['id']).toBe(made.body['id']);
  });

  it('is found by every filter that takes a name', async () => {
    const name = `${word}-na\u00efve`;
    const modelId = textOf((await t.call('POST', `${api}/models`, { body: model(name) })).body, 'id');
    await t.settle();
    const spelled = encodeURIComponent(` ${name.toUpperCase().normalize('NFD')}`);
    const { body } = await t.call('GET', `${OWN}/events?model=${spelled}`);
    expect(body['items']).toMatchObject([{ stream: `model-${modelId}` }]);
    const { body: listed } = await t.call('GET', `${OWN}/models?name_contains=${encodeURIComponent('NAi\u0308VE')}`);
    expect((listed['items'] as { id: string }[]).map((m) => m.id)).toContain(modelId);
  });
});

describe('other names', () => {
  it('of keys and organisations are spelled the same way', async () => {
    const key = await t.call('POST', `${OWN}/keys`, { body: { name: ' mu\u0308de ', roles: ['viewer'] } });
    expect(key).toMatchObject({
      status: 201,
      body: { name: 'm\u00fcde', warnings: [{}, {}].map(() => expect.any(String)) },
    });
    const org = await t.call('POST', `${OWN}/orgs`, { body: { name: 'A\u030a ' }, as: 'instance' });
    expect(org).toMatchObject({
      status: 201,
      body: { name: '\u00c5', warnings: [{}, {}].map(() => expect.any(String)) },
    });
    for (const name of ['\u200b', 'a\u202eb', ' ', 'a\nb']) {
      const refusal = { status: 422, body: { code: 'invalid_input', errors: [{ pointer: '/name' }] } };
      expect(await t.call('POST', `${OWN}/keys`, { body: { name, roles: ['viewer'] } })).toMatchObject(refusal);
      expect(await t.call('POST', `${OWN}/orgs`, { body: { name }, as: 'instance' })).toMatchObject(refusal);
    }
  });
});

describe('a device', () => {
  const register = (device_identifier: string) =>
    t.call('POST', `${SDK}/devices/register`, { body: { device_identifier } });
  const beat = async (device: string) =>
    (await t.call('POST', `${SDK}/devices/${encodeURIComponent(device)}/heartbeat`, { body: {} })).body['id'];

  it('with an identifier in the form of a UUID, or of any text, is found by it and by its id', async () => {
    for (const one of ['6FA459EA-EE8A-3CA4-894E-DB77E160355E', 'a/b c%2f?#', 'cafe\u0301', '🦊'.repeat(200), "'; --"]) {
      const made = await register(one);
      expect(made.status).toBe(201);
      const id = textOf(made.body, 'id');
      expect([await beat(one), await beat(id), await beat(id.toUpperCase())]).toEqual([id, id, id]);
      expect((await register(one)).body).toMatchObject({ id, device_identifier: one });
    }
  });

  it('is not hidden by another that takes its id for an identifier', async () => {
    const first = textOf((await register('first')).body, 'id');
    const second = await register(first);
    expect(second).toMatchObject({ status: 200, body: { id: first, device_identifier: 'first' } });
    expect((await register(first.toUpperCase())).body['id']).toBe(first);
    expect(await beat(first)).toBe(first);
  });

  it('cannot be called what a path cannot hold', async () => {
    for (const one of ['.', '..', 'a\u0000b', 'a\nb', '', 'x'.repeat(201)]) {
      expect((await register(one)).status).toBe(422);
    }
  });
});
