/** A limit per key: everybody but devices, telemetry and stops; and nobody where it is not configured. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isLimited } from '../../api/http/rateLimit.ts';
import { OWN, openTestApi, SDK, type TestApi } from './testApi.ts';
import type { Role } from '../../api/access/roles.ts';

const MOST = 3;
let t: TestApi;
beforeAll(async () => {
  t = await openTestApi(undefined, { rateLimit: MOST });
  await t.published('limited', '1.0.0'); // by the admin's key, once
});
afterAll(() => t.close());

const statuses = async (role: Role, method: string, path: string) => {
  const found: number[] = [];
  for (let i = 0; i < MOST + 2; i += 1)
    found.push(
      (await t.call(method, path, { as: role, ...(method === 'POST' ? { body: { reason: 'r' } } : {}) })).status,
    );
  return found;
};

describe('a key that asks too often', () => {
  it('is 429 with the seconds to wait, on either door, and other keys are not', async () => {
    expect(await statuses('viewer', 'GET', `${SDK}/models`)).toEqual([200, 200, 200, 429, 429]);
    const answer = await t.call('GET', `${OWN}/models`, { as: 'viewer' });
    expect(answer).toMatchObject({ status: 429, body: { code: 'rate_limited', retryable: true } });
    const wait = Number(answer.headers.get('retry-after'));
    expect(wait).toBeGreaterThan(0);
    expect(wait).toBeLessThanOrEqual(60);
    expect((await t.call('GET', `${SDK}/models`, { as: 'auditor' })).status).toBe(200);
  });

  it.each([
    ['device', 'GET', `${SDK}/devices/nobody/models/limited/version`, 404],
    ['device', 'GET', `${SDK}/models/limited/versions/latest`, 200],
    ['device', 'POST', `${SDK}/devices/nobody/heartbeat`, 404],
    ['device', 'POST', `${OWN}/devices/nobody/reports`, 400],
    ['device', 'POST', `${SDK}/inference/events`, 501],
    ['operator', 'POST', `${OWN}/rollouts/7/pause`, 404],
    ['operator', 'POST', `${OWN}/rollouts/7/abort`, 404],
    ['operator', 'POST', `${OWN}/models/limited/rollback`, 409],
    ['operator', 'POST', `${SDK}/models/limited/rollouts/7/pause`, 404],
  ] as const)('as %s is never limited at %s %s', async (role, method, path, status) => {
    const found = await statuses(role, method, path);
    expect(found).not.toContain(429);
    expect(found[0]).toBe(status);
  });
});

it('counts no route of a device, no stop, and none that needs no key', () => {
  expect(isLimited({ scope: 'models:read' })).toBe(true);
  expect(isLimited({ scope: ['artifacts:write'] })).toBe(true);
  for (const scope of ['none', 'any', 'telemetry:write', 'rollouts:halt', 'signals:write', 'devices:register'] as const)
    expect(isLimited({ scope })).toBe(false);
  expect(isLimited({ scope: ['models:read', 'training:participate'] })).toBe(false);
  expect(isLimited({ scope: 'rollouts:write', stop: true })).toBe(false);
});
