/** C31–C33 as P0 and P1 send them: a constructor, a joiner, and what neither may do. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { asOrgId } from '../../domain/org.ts';
import { openTestApi, SDK, textOf, type Answer, type CallOptions, type TestApi } from './testApi.ts';

let t: TestApi;
beforeAll(async () => {
  t = await openTestApi();
});
afterAll(() => t.close());

const listed = ({ body }: Answer): unknown[] => {
  if (!Array.isArray(body)) throw new Error(`no bare array: ${JSON.stringify(body)}`);
  return body;
};
const find = (name: string, as: CallOptions['as'] = 'operator') =>
  t.call('GET', `${SDK}/federations?org_id=default&name=${encodeURIComponent(name)}`, { as });
const create = (body: object, as: CallOptions['as'] = 'operator') =>
  t.call('POST', `${SDK}/federations`, { body, as, idempotent: false });

describe('the constructor of a Federation', () => {
  it('finds nothing in a bare array, makes one, and finds it from then on in every spelling', async () => {
    expect(listed(await find('default'))).toEqual([]);
    const made = await create({ org_id: 'default', name: 'default' });
    expect(made).toMatchObject({ status: 201, body: { name: 'default', org_id: 'org_local', description: '' } });
    expect(listed(await find(' DEFAULT'))).toEqual([made.body]);
    expect((await create({ org_id: 'default', name: 'Default', description: 'other' })).body).toEqual(made.body);
    expect((await t.call('GET', `${SDK}/federations/${textOf(made.body, 'id')}`)).body).toEqual(made.body);
  });

  it('makes one row of 25 calls at once', async () => {
    const all = await Promise.all(Array.from({ length: 25 }, () => create({ name: 'crowd' })));
    expect(all.filter(({ status }) => status === 201)).toHaveLength(1);
    expect(new Set(all.map(({ body }) => body['id'])).size).toBe(1);
    const everyOne = listed(await t.call('GET', `${SDK}/federations/`)) as { name: string }[];
    expect(everyOne.filter(({ name }) => name === 'crowd')).toHaveLength(1);
  });

  it.each(['', ' ', 'a\u200bb', 'x'.repeat(201)])('refuses the name %j', async (name) => {
    expect(await create({ name })).toMatchObject({ status: 422, body: { code: 'invalid_input' } });
  });

  it('lists more than one page, oldest first and each once', async () => {
    const { federations } = t.api.deps;
    const orgId = asOrgId('org_local');
    for (let i = 0; i < 501; i += 1)
      await federations.ensure({ orgId, name: `many ${i}`, description: '', createdBy: 'test' });
    const all = listed(await t.call('GET', `${SDK}/federations`)) as { name: string; created_at: string }[];
    const many = all.filter(({ name }) => name.startsWith('many')).map(({ name }) => name);
    expect(new Set(many).size).toBe(501);
    expect(many).toHaveLength(501);
    const times = all.map(({ created_at }) => created_at);
    expect(times).toEqual(times.toSorted());
  });
});

describe('a joiner', () => {
  it('joins what its organisation has, by the two calls of the SDK', async () => {
    const { body: made } = await create({ name: 'hospitals' });
    const [found] = listed(await t.call('GET', `${SDK}/federations?name=hospitals`, { as: 'device' }));
    expect(found).toEqual(made);
    const id = textOf(made, 'id');
    const body = { org_id: 'default' };
    const joined = await t.call('POST', `${SDK}/federations/${id}/join`, { body, as: 'device', idempotent: false });
    expect(joined).toMatchObject({
      status: 200,
      body: { federation_id: id, org_id: 'org_local', status: 'joined' },
    });
    const members = await t.call('GET', `${SDK}/federations/${id}/members`, { as: 'device' });
    expect(listed(members)).toEqual([{ org_id: 'org_local', status: 'joined', joined_at: made['created_at'] }]);
    expect((await create({ name: 'hospitals' }, 'device')).body).toEqual(made);
  });

  it('never founds a second one, and is told so', async () => {
    const answer = await create({ name: 'elsewhere' }, 'device');
    expect(answer).toMatchObject({ status: 501, body: { code: 'not_implemented' } });
    expect(listed(await find('elsewhere'))).toEqual([]);
    const unknown = `${SDK}/federations/0199f0a4-7c1e-7d2a-8a3b-0123456789ab`;
    expect(await t.call('POST', `${unknown}/join`, { body: {} })).toMatchObject({ status: 501 });
    expect(await t.call('GET', unknown)).toMatchObject({ status: 404, body: { code: 'federation_not_found' } });
    expect(await create({ name: 'x', org_id: 'org_other' })).toMatchObject({ status: 403 });
  });
});

it('looks names of models up in a federation, too', async () => {
  const id = textOf((await create({ name: 'names' })).body, 'id');
  const path = `${SDK}/federations/${id}/models`;
  expect(listed(await t.call('GET', path))).toEqual([]);
  const model = await t.published('tumours');
  expect(listed(await t.call('GET', path))).toEqual([{ id: model, name: 'tumours' }]);
});

it.each([
  ['viewer', 403],
  ['monitor', 403],
] as const)('a key of role %s makes none', async (role, status) => {
  expect((await create({ name: 'mine' }, role)).status).toBe(status);
});
