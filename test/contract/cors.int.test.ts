/** Scripts of other origins: those that the operator names may call and read, refusals too; all others may not. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openTestApi, OWN, SDK, type TestApi } from './testApi.ts';

const HOME = 'https://console.example';
let t: TestApi;
let closed: TestApi;
beforeAll(async () => {
  t = await openTestApi(undefined, { corsOrigins: [HOME, 'http://localhost:5173'] });
  closed = await openTestApi();
});
afterAll(async () => {
  await t.close();
  await closed.close();
});

const ask = (path: string, origin: string, init: RequestInit = {}, of = t) =>
  fetch(of.url + path, { ...init, headers: { origin, ...(init.headers as Record<string, string>) } });
const preflight = (path: string, origin: string, method: string, of = t) => {
  const headers = { 'access-control-request-method': method, 'access-control-request-headers': 'authorization' };
  return ask(path, origin, { method: 'OPTIONS', headers }, of);
};
const allowed = (answer: Response) => answer.headers.get('access-control-allow-origin');

const PATHS = [
  ['GET', `${OWN}/models`],
  ['POST', `${OWN}/models/m/rollback`],
  ['POST', `${SDK}/devices/register`],
  ['PUT', `${OWN}/blobs/${'a'.repeat(64)}`],
  ['GET', '/devices/d/models/m/version'],
  ['GET', '/readyz'],
] as const;

describe('a script of an origin that is allowed', () => {
  it.each(PATHS)('may send %s %s: the preflight needs no key', async (method, path) => {
    const answer = await preflight(path, HOME, method);
    expect([answer.status, allowed(answer)]).toEqual([204, HOME]);
    expect(answer.headers.get('access-control-allow-methods')).toContain(method);
    for (const header of ['authorization', 'idempotency-key', 'if-match'])
      expect(answer.headers.get('access-control-allow-headers')).toContain(header);
    expect(answer.headers.get('access-control-allow-credentials')).toBeNull();
    expect(answer.headers.get('vary')?.toLowerCase()).toContain('origin');
  });

  it('reads answers, refusals, what is not there, and lists that are streamed', async () => {
    const key = { authorization: `Bearer ${t.secretOf('admin')}` };
    const cases = [
      [200, `${SDK}/models`, { headers: key }],
      [200, '/livez', {}],
      [401, `${OWN}/models`, {}],
      [404, `${OWN}/models/none`, { headers: key }],
      [404, '/nowhere', {}],
      [422, `${OWN}/models?limit=0`, { headers: key }],
    ] as const;
    for (const [status, path, init] of cases) {
      const answer = await ask(path, HOME, init);
      expect([path, answer.status, allowed(answer)]).toEqual([path, status, HOME]);
      expect(answer.headers.get('access-control-expose-headers')).toContain('retry-after');
      await answer.arrayBuffer();
    }
  });
});

describe('a script of another origin', () => {
  it.each(['https://evil.example', 'https://console.example.evil', 'http://console.example', 'null'])(
    'may read nothing: %s',
    async (origin) => {
      expect(allowed(await preflight(`${OWN}/models`, origin, 'POST'))).not.toBe(origin);
      expect(allowed(await ask('/livez', origin))).toBeNull();
    },
  );

  it('may read nothing where none is allowed, and a preflight is a path that is not there', async () => {
    const answer = await preflight(`${OWN}/models`, HOME, 'POST', closed);
    expect([answer.status, allowed(answer)]).toEqual([404, null]);
    expect(allowed(await ask('/livez', HOME, {}, closed))).toBeNull();
  });
});
