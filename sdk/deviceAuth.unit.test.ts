/** Which bearer a device sends, against a server that is told which ones it takes. */
import { describe, expect, it } from 'vitest';
import { Device, type DeviceOptions } from './device.ts';

const KEY = 'the key of the fleet';

interface World {
  /** Bearers that are good. */
  good: Set<string>;
  /** What registering answers beside the id. */
  issues: () => string | undefined;
  heartbeat?: () => string | undefined;
  readonly asked: string[];
}

function open(options: Partial<DeviceOptions> = {}, world: Partial<World> = {}) {
  const kept: string[] = [];
  let issued = 0;
  const server: World = {
    good: new Set([KEY]),
    issues: () => `token ${(issued += 1)}`,
    asked: [],
    ...world,
  };
  const members = (token: string | undefined) => (token === undefined ? {} : { device_token: token });
  const fetched: typeof fetch = (url, init) => {
    const path = new URL(url instanceof Request ? url.url : url).pathname;
    const bearer = new Headers(init?.headers).get('authorization')?.slice('Bearer '.length) ?? '';
    server.asked.push(`${path.split('/').at(-1)} by ${bearer}`);
    if (!server.good.has(bearer)) {
      const problem = { code: 'token_expired', detail: 'no', status: 401 };
      return Promise.resolve(Response.json(problem, { status: 401 }));
    }
    if (path.endsWith('/heartbeat')) return Promise.resolve(Response.json(members(server.heartbeat?.())));
    if (!path.endsWith('/register')) return Promise.resolve(Response.json({ version: '1.0.0' }));
    const token = server.issues();
    if (token !== undefined) server.good.add(token);
    return Promise.resolve(Response.json({ id: 'd', ...members(token) }));
  };
  const device = new Device({
    ...{ baseUrl: 'http://edgeml.test', deviceIdentifier: 'a', platform: 'ios', fetch: fetched, apiKey: KEY },
    onToken: (token) => kept.push(token),
    ...options,
  });
  return { device, server, kept };
}

describe('a device', () => {
  it('registers with the key and asks with its token', async () => {
    const { device, server, kept } = open();
    await device.assignment('m');
    await device.assignment('m');
    expect(server.asked).toEqual([`register by ${KEY}`, 'version by token 1', 'version by token 1']);
    expect(kept).toEqual(['token 1']);
  });

  it('goes on with the key where the server gives no token', async () => {
    const { device, server, kept } = open({}, { issues: () => undefined });
    await device.assignment('m');
    expect(server.asked).toEqual([`register by ${KEY}`, `version by ${KEY}`]);
    expect(kept).toEqual([]);
  });

  it('registers with the token that it kept', async () => {
    const { device, server } = open({ token: 'kept' }, { good: new Set(['kept']) });
    await device.assignment('m');
    expect(server.asked).toEqual(['register by kept', 'version by token 1']);
  });

  it('takes the token that a heartbeat answers', async () => {
    const { device, server, kept } = open({}, { heartbeat: () => 'token 2' });
    await device.heartbeat();
    server.good.add('token 2');
    await device.heartbeat();
    expect(server.asked.at(-1)).toBe('heartbeat by token 2');
    expect(kept).toEqual(['token 1', 'token 2']);
  });

  it('registers once where its token is refused, for all calls that are under way', async () => {
    const { device, server } = open();
    await device.id();
    server.good = new Set([KEY]);
    server.asked.length = 0;
    const all = await Promise.all([1, 2, 3].map(() => device.assignment('m')));
    expect(all).toEqual([1, 2, 3].map(() => ({ version: '1.0.0' })));
    expect(server.asked.filter((one) => one.startsWith('register'))).toEqual([
      'register by token 1',
      `register by ${KEY}`,
    ]);
    expect(server.asked.filter((one) => one === 'version by token 2')).toHaveLength(3);
  });

  it('gives up where the new token is refused too, and where the key is', async () => {
    const { device, server } = open({}, { issues: () => 'never good' });
    await device.id();
    server.good = new Set([KEY]);
    server.issues = () => 'as bad';
    server.good.add = () => server.good;
    server.asked.length = 0;
    await expect(device.assignment('m')).rejects.toMatchObject({ status: 401 });
    expect(server.asked).toHaveLength(4);
    server.good = new Set();
    await expect(open({}, { good: new Set() }).device.assignment('m')).rejects.toMatchObject({ status: 401 });
  });
});
