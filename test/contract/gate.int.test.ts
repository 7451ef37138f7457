/** What the log cannot hold is refused by the API with a pointer, and nothing of it is stored. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openTestApi, OWN, textOf, type TestApi } from './testApi.ts';

let t: TestApi;
beforeAll(async () => {
  t = await openTestApi();
});
afterAll(() => t.close());

const model = (contract: unknown) => ({ name: 'held', framework: 'f', use_case: 'u', contract });
const nested = (levels: number) => `${'{"in":'.repeat(levels)}1${'}'.repeat(levels)}`;
const raw = (contract: string) => `{"name":"held","framework":"f","use_case":"u","contract":${contract}}`;

describe('a contract that a reader cannot hold', () => {
  it.each([
    ['NUL in a key', '{"a\\u0000b":1}', '/contract/a\ufffdb'],
    ['NUL in a value', '{"a":["\\u0000"]}', '/contract/a/0'],
    ['half a surrogate pair in a key', '{"a\\ud800":1}', '/contract/a\ufffd'],
    ['half a surrogate pair in a value', '{"a":"\\udfff"}', '/contract/a'],
    ['1e400', '{"a":1e400}', '/contract/a'],
    ['an integer beyond 2^53', '{"a":9007199254740993}', '/contract/a'],
    ['more than 64 KB', `{"a":"${'x'.repeat(70_000)}"}`, '/contract'],
    ['a hundred levels', nested(100), undefined],
    ['a thousand levels', nested(1_000), undefined],
  ])('is refused with 422: %s', async (_what, contract, pointer) => {
    const before = await t.facts();
    const headers = { 'content-type': 'application/json' };
    const answer = await t.call('POST', `${OWN}/models`, { raw: raw(contract), headers });
    expect(answer).toMatchObject({ status: 422, body: { code: 'invalid_input' } });
    const errors = answer.body['errors'] as readonly { pointer: string }[];
    expect(errors[0]!.pointer).toEqual(pointer ?? expect.stringMatching(/^\/contract\/in\//));
    expect(await t.facts()).toBe(before);
  });

  it('is refused with the prototype in it, too', async () => {
    const headers = { 'content-type': 'application/json' };
    const answer = await t.call('POST', `${OWN}/models`, { raw: raw('{"__proto__":1}'), headers });
    expect(answer.status).toBe(400);
  });
});

describe('texts of people', () => {
  it('are refused where they cannot be stored, and the log and its readers stay sound', async () => {
    const { body } = await t.call('POST', `${OWN}/models`, { body: model({ 'é🦊': -0, deep: [[[1e-300]]] }) });
    await t.published('stopped', '1.0.0');
    const stage = { percent: 100, ramp: '0s', min_bake: '1h', max_bake: '2h' };
    const rollout = await t.call('POST', `${OWN}/models/stopped/rollouts`, {
      body: { version: '1.0.0', stages: [stage], start: true },
    });
    const path = `${OWN}/rollouts/${String(rollout.body['id'])}`;
    const before = await t.facts();
    for (const reason of ['NUL \0', 'half \ud83d', '\udc00 half']) {
      for (const command of ['pause', 'abort', 'rollback']) {
        const answer = await t.call('POST', `${path}/${command}`, { body: { reason } });
        expect([command, answer.status]).toEqual([command, 422]);
      }
    }
    expect(await t.facts()).toBe(before);
    expect(await t.call('POST', `${path}/pause`, { body: { reason: '🦊' } })).toMatchObject({ status: 200 });
    await t.settle();
    const shown = await t.call('GET', `${OWN}/models/${textOf(body, 'id')}`);
    expect(shown.body).toMatchObject({ contract: { 'é🦊': 0, deep: [[[1e-300]]] } });
    expect((await t.verify()).findings).toEqual([]);
  });
});
