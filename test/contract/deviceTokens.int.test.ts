/** A device is who it says: with its token it may ask for itself on every route of devices, and for nobody else. */
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDeviceTokens, TOKEN_TTL_MS, type TokenDevice } from '../../api/access/deviceTokens.ts';
import { scopesOf } from '../../api/access/roles.ts';
import { withAdmin } from '../../dev/postgres.ts';
import { asOrgId } from '../../domain/org.ts';
import { until } from '../support/log.ts';
import { OWN, SDK, textOf, type Answer } from './testApi.ts';
import { everyRow } from './orgs/ledgerOfRows.ts';
import { openTwoOrgs, type TwoOrgs } from './orgs/twoOrgs.ts';
import { routesOf, type Route } from './routes.ts';

let two: TwoOrgs;
let routes: readonly Route[];
/** A device of A beside A's other one, and its token. */
let x: { readonly id: string; readonly token: string };
let tokens: ReturnType<typeof createDeviceTokens>;
beforeAll(async () => {
  two = await openTwoOrgs();
  tokens = two.t.api.deps.deviceAuth.tokens;
  const ofDevices = new Set<string>(scopesOf(['device']));
  routes = (await routesOf(two.t)).filter(({ scopes }) => scopes.some((s) => s === 'any' || ofDevices.has(s)));
  x = await register('phone-x');
});
afterAll(() => two.t.close());

async function register(device_identifier: string) {
  const { body } = await two.t.call('POST', `${SDK}/devices/register`, {
    body: { device_identifier, platform: 'ios' },
  });
  return { id: textOf(body, 'id'), token: textOf(body, 'device_token') };
}

/** The claims of X's token, with others in place of some. */
const claims = (more: Partial<TokenDevice> = {}) => ({ ...tokens.read(x.token)!, ...more });

interface Sent {
  readonly path: string;
  readonly body?: unknown;
  readonly raw?: Uint8Array<ArrayBuffer>;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Names no device: what it answers is the same for each device of the organisation, or of the token itself. */
const OF_ALL = [
  'GET /api/v1/models/:model',
  'GET /api/v1/models/:model/versions',
  'GET /api/v1/models/:model/versions/latest',
  'GET /api/v1/models/:model/versions/:version',
  'GET /api/v1/models/:model/versions/:version/download',
  'GET /api/v1/models/:model/versions/:version/download-url',
  'GET /api/v1/settings/org/:org/device-policy',
  'GET /api/v1/models/:model/optimized-config/:type',
  'GET /api/v1/federations',
  'POST /api/v1/federations',
  'GET /api/v1/federations/:federation',
  'GET /api/v1/federations/:federation/members',
  'GET /api/v1/federations/:federation/models',
  'POST /api/v1/federations/:federation/join',
  'GET /lifecycle/v1/access/me',
];
const bodyOf = ({ model }: TwoOrgs['a'], url: string) =>
  url.endsWith('/reports')
    ? { session: 'foreign', model, version: '1.1.0', seq: 9, acked: 0, predictions: { ok: 0, failed: 99 } }
    : { platform: 'android' };

/** Every way to name `device`, whose task and lease are known too, on a route; none where nothing of it names a device. */
function naming({ method, url, isBare }: Route, device: string, identifier: string): Sent[] | undefined {
  const { a } = two;
  const names = [device, device.toUpperCase(), identifier];
  const path = url.replace(':model', a.model).replace(/:(?!device)\w+/g, 'x');
  if (url.includes(':device')) {
    const body = method === 'GET' ? {} : { body: bodyOf(a, url) };
    return names.map((name) => ({ path: path.replace(':device', encodeURIComponent(name)), ...body }));
  }
  const headers = { 'edgeml-lease': a.lease };
  const task = url.replace(':task', a.task);
  switch (`${method} ${url}`) {
    case 'POST /api/v1/devices/register':
      return names.flatMap((name) => [
        { path, body: { device_identifier: name, platform: 'android' } },
        { path, body: { installation_id: name, platform: 'android' } },
        { path, body: { device_id: name, platform: 'android' } },
      ]);
    case 'POST /lifecycle/v1/training/checkin':
      return names.map((device_id) => ({ path, body: { device_id, runs: [a.run] } }));
    case 'HEAD /lifecycle/v1/training/tasks/:task':
      return [{ path: task, headers }];
    case 'POST /lifecycle/v1/training/tasks/:task/abort':
      return [{ path: task, headers, body: { phase: 'fit', reason: 'another device' } }];
    case 'PUT /lifecycle/v1/training/tasks/:task/update':
      return [
        { path: task, headers: { ...headers, 'content-type': 'application/octet-stream' }, raw: new Uint8Array(64) },
      ];
    default:
      return isBare || OF_ALL.includes(`${method} ${url}`) ? [] : undefined;
  }
}

/** Not all of these routes are documented. */
async function ask(method: string, { path, body, raw, headers }: Sent, token: string): Promise<Answer> {
  const response = await fetch(two.t.url + path, {
    method,
    headers: {
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
      authorization: `Bearer ${token}`,
    },
    ...(raw ? { body: raw } : body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const bytes = new Uint8Array(await response.arrayBuffer());
  const text = new TextDecoder().decode(bytes);
  return {
    status: response.status,
    headers: response.headers,
    body: text.startsWith('{') ? (JSON.parse(text) as Answer['body']) : {},
    bytes,
  };
}

const seen = (route: Route, { path, body }: Sent, answer: Answer) =>
  `${route.method} ${path} ${JSON.stringify(body ?? '')}: ${answer.status} ${JSON.stringify(answer.body['code'])}`;

describe('every route that a device may ask', () => {
  it('is known here by how it names the device', () => {
    const unknown = routes.filter((route) => naming(route, two.a.device, two.a.identifier) === undefined);
    expect(unknown.map(({ method, url }) => `${method} ${url}`)).toEqual([]);
    expect(OF_ALL.filter((name) => !routes.some(({ method, url }) => `${method} ${url}` === name))).toEqual([]);
    expect(routes.filter((route) => naming(route, 'y', 'y')!.length > 0).length).toBeGreaterThan(14);
  });

  it('refuses the token of another device, of the same organisation or not, and nothing moves', async () => {
    const z = textOf(
      (await two.asB('POST', `${SDK}/devices/register`, { body: { device_identifier: 'z' } })).body,
      'device_token',
    );
    const before = await everyRow(two.t.adminUrl);
    const faults: string[] = [];
    let asked = 0;
    for (const route of routes) {
      for (const sent of naming(route, two.a.device, two.a.identifier)!) {
        for (const token of [x.token, z]) {
          asked += 1;
          const answer = await ask(route.method, sent, token);
          const isOfTask = sent.path.includes('/tasks/') && token === z; // which does not exist for its organisation
          const isRefused = isOfTask ? answer.status === 404 : answer.status === 403;
          const code = route.method === 'HEAD' ? answer.headers.get('edgeml-reason') : answer.body['code'];
          const isSaid = isOfTask || code === (sent.path.includes('/tasks/') ? 'not_your_task' : 'not_your_device');
          if (!isRefused || !isSaid) faults.push(seen(route, sent, answer));
        }
      }
    }
    expect(faults).toEqual([]);
    expect(asked).toBeGreaterThan(60);
    expect(await everyRow(two.t.adminUrl)).toEqual(before);
  });

  it('refuses a token that is not good: 401, and nothing moves', async () => {
    const signed = (device: TokenDevice, secret?: Uint8Array, now = Date.now()) =>
      (secret ? createDeviceTokens(secret) : tokens).issue(device, now).token;
    const [head = '', body = '', mac = ''] = x.token.split('.');
    const changed = Buffer.from(Buffer.from(body, 'base64url').toString().replace('"generation":0', '"generation":9'));
    const bad: Readonly<Record<string, string>> = {
      expired: signed(claims(), undefined, Date.now() - TOKEN_TTL_MS),
      'of another secret': signed(claims(), randomBytes(32)),
      'of another organisation, by another secret': signed(claims({ orgId: asOrgId('org_b') }), randomBytes(32)),
      changed: [head, changed.toString('base64url'), mac].join('.'),
      'changed to another device': [
        head,
        Buffer.from(Buffer.from(body, 'base64url').toString().replace(x.id, two.a.device)).toString('base64url'),
        mac,
      ].join('.'),
      'of another key id': ['ed_2', body, mac].join('.'),
      truncated: x.token.slice(0, -1),
      'without its MAC': [head, body].join('.'),
      longer: `${x.token}A`,
      'an empty one': 'ed_',
    };
    const before = await everyRow(two.t.adminUrl);
    const faults: string[] = [];
    for (const route of routes) {
      for (const sent of naming(route, x.id, 'phone-x')!.slice(0, 1)) {
        for (const [what, token] of Object.entries(bad)) {
          const renews = what === 'expired' && route.url.endsWith('/devices/register');
          const answer = renews ? undefined : await ask(route.method, sent, token);
          const code = what === 'expired' ? 'token_expired' : 'invalid_api_key';
          if (answer && (answer.status !== 401 || (route.method !== 'HEAD' && answer.body['code'] !== code)))
            faults.push(`${what}: ${seen(route, sent, answer)}`);
        }
      }
    }
    expect(faults).toEqual([]);
    expect(await everyRow(two.t.adminUrl)).toEqual(before);
  });
});

describe('a device with its own token', () => {
  const as = (token: string) => ({ as: { secret: token } });
  const held = async (device_identifier: string) => {
    const { id, token } = await register(device_identifier);
    const path = `${SDK}/devices/${id}`;
    return {
      id,
      token,
      path,
      beat: (secret = token, body: unknown = {}) => two.t.call('POST', `${path}/heartbeat`, { body, as: { secret } }),
    };
  };
  const raise = (id: string) =>
    withAdmin(two.t.adminUrl, (db) =>
      db.query('UPDATE ops.devices SET generation = generation + 1, raised_at = clock_timestamp() WHERE id = $1', [id]),
    );
  const isRefused = (answer: Answer) => answer.status === 401 && answer.body['code'] === 'token_revoked';

  it('acts for itself by its id and by its own identifier, whatever key registered it', async () => {
    const { t, a } = two;
    const counted = { seq: 1, acked: 0, predictions: { ok: 1, failed: 0 } };
    const report = { session: 'own', model: a.model, version: '1.1.0', ...counted };
    for (const name of [x.id, x.id.toUpperCase(), 'phone-x']) {
      const told = await t.call('GET', `${SDK}/devices/${name}/models/${a.model}/version`, as(x.token));
      const why = await t.call('GET', `${OWN}/devices/${name}/models/${a.model}/why`, as(x.token));
      const beat = await t.call('PUT', `${SDK}/devices/${name}/heartbeat`, { body: {}, ...as(x.token) });
      const sent = await t.call('POST', `${OWN}/devices/${name}/reports`, { body: report, ...as(x.token) });
      expect([told, why, beat, sent].map(({ status }) => status)).toEqual([200, 200, 200, 200]);
      expect(told.body['version']).toBe(why.body['version']);
    }
    const body = { device_id: 'phone-x', runs: [a.run] };
    const task = (await t.call('POST', `${OWN}/training/checkin`, { body, ...as(x.token) })).body[
      'task'
    ] as Answer['body'];
    const mine = { ...as(x.token), headers: { 'edgeml-lease': textOf(task, 'lease') } };
    expect((await t.call('HEAD', `${OWN}/training/tasks/${textOf(task, 'task_id')}`, mine)).status).toBe(200);
    const download = `${SDK}/models/${a.model}/versions/1.0.0/download-url`;
    expect((await t.call('GET', download, as(x.token))).status).toBe(200);
    expect((await t.call('POST', `${OWN}/models`, { body: { name: 'no' }, ...as(x.token) })).status).toBe(403);
  });

  it('is told what its attributes say, which the token carries', async () => {
    const { token } = await register('attributes');
    expect(tokens.read(token)).toMatchObject({ orgId: 'org_local', platform: 'ios', osVersion: null, generation: 0 });
  });

  it('gets another token once half of its life is over, or it says other than the token, and not before', async () => {
    const { beat, token, id } = await held('renewed');
    expect((await beat()).body).not.toHaveProperty('device_token');
    const said = await beat(token, { app_version: '2.0' });
    expect(tokens.read(textOf(said.body, 'device_token'))).toMatchObject({ id, appVersion: '2.0' });
    const device = { ...tokens.read(token)!, appVersion: '2.0' };
    const later = tokens.issue(device, Date.now() - TOKEN_TTL_MS / 2 - 60_000).token;
    const renewed = tokens.read(textOf((await beat(later)).body, 'device_token'))!;
    expect(renewed.expiresAt).toBeGreaterThan(tokens.read(later)!.expiresAt);
    expect((await beat(tokens.issue(device, Date.now()).token)).body).not.toHaveProperty('device_token');
  });

  it('renews a token that has expired by registering with it, unless that was revoked since', async () => {
    const { id, token, beat } = await held('long away');
    const expired = tokens.issue(tokens.read(token)!, Date.now() - 9 * TOKEN_TTL_MS).token;
    expect((await beat(expired)).body['code']).toBe('token_expired');
    const again = { body: { device_identifier: 'long away', os_version: '18' }, ...as(expired) };
    const renewed = await two.t.call('POST', `${SDK}/devices/register`, again);
    expect(renewed.body).toMatchObject({ id, os_version: '18', platform: 'ios' });
    expect((await beat(textOf(renewed.body, 'device_token'))).status).toBe(200);
    await raise(id);
    expect(isRefused(await two.t.call('POST', `${SDK}/devices/register`, again))).toBe(true);
  });

  it('is refused once an operator has released it, and gets another token from the next registration', async () => {
    const { id, token, beat } = await held('lost phone');
    expect((await two.t.call('POST', `${OWN}/devices/${id}/release`, { body: {}, as: 'device' })).status).toBe(403);
    const released = await two.t.call('POST', `${OWN}/devices/lost%20phone/release`, { body: {}, as: 'operator' });
    expect(released.body).toMatchObject({ id, device_identifier: 'lost phone', generation: 1 });
    await until('the token is refused', async () => isRefused(await beat()));
    const { token: another } = await register('lost phone');
    expect((await beat(another)).status).toBe(200);
    expect(isRefused(await beat(token))).toBe(true);
  });

  it('is refused also where no notification came, and renews nothing on a server that does not know yet', async () => {
    const { id, beat, token } = await held('not notified');
    await raise(id);
    const due = tokens.issue(tokens.read(token)!, Date.now() - TOKEN_TTL_MS / 2 - 60_000).token;
    expect(isRefused(await beat(due))).toBe(true); // by its row, at once
    const asks = () => two.t.call('GET', `${SDK}/devices/${id}/models/${two.a.model}/version`, as(token));
    await until('the look has found it', async () => isRefused(await asks()));
  });

  it('works on the same machine only where a test key registered it, and so does what renews it', async () => {
    const from = async (remoteAddress: string, token: string) => {
      const headers = { authorization: `Bearer ${token}` };
      return (await two.t.api.app.inject({ url: `${OWN}/access/me`, headers, remoteAddress })).statusCode;
    };
    const again = await two.t.call('POST', `${SDK}/devices/register`, {
      body: { device_identifier: 'phone-x' },
      ...as(x.token),
    });
    for (const token of [x.token, textOf(again.body, 'device_token')]) {
      expect(await from('127.0.0.1', token)).toBe(200);
      expect(await from('10.0.0.9', token)).toBe(401);
    }
    expect(await from('10.0.0.9', tokens.issue(claims({ isTest: false }), Date.now()).token)).toBe(200);
  });

  it('is the only one to be noted as told: a viewer who looks is not the device', async () => {
    const { id, token } = await held('looked at');
    const path = `${SDK}/devices/${id}/models/${two.a.model}/version`;
    const told = async () => {
      await two.t.api.deps.active.flush();
      return (await two.t.api.deps.devices.deviceModel({ id }, two.a.model))?.toldVersion;
    };
    for (const role of ['viewer', 'operator', 'monitor', 'auditor'] as const) {
      expect((await two.t.call('GET', path, { as: role })).status).toBe(200);
    }
    expect(await told()).toBeUndefined();
    await two.t.call('GET', path, as(token));
    await until('it is told', async () => (await told()) !== undefined);
  });
});
