/** Two servers with EDGEML_DEVICE_AUTH=device: a key registers new devices, and all else a device does with its own token. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Audit } from '../../sdk/audit.ts';
import { Device } from '../../sdk/device.ts';
import { Http } from '../../sdk/http.ts';
import { withAdmin } from '../../dev/postgres.ts';
import { until } from '../support/log.ts';
import { startServer, type ServerProcess } from '../support/serverProcess.ts';
import { createDatabase, type TestDatabase } from '../support/services.ts';
import { OWN, publishAll, SDK } from './testApi.ts';

const env = { EDGEML_DEVICE_AUTH: 'device' };
let database: TestDatabase;
let [one, two]: ServerProcess[] = [];
/** Of role device. */
let fleet: string;
let operator: Audit;
let admin: Audit;
beforeAll(async () => {
  database = await createDatabase({ migrated: false });
  one = await startServer(database, { env });
  const isReady = async (server: ServerProcess) => (await fetch(`${server.url}/readyz`)).ok;
  await one.soon('the first to be ready', () => isReady(one!));
  two = await startServer(database, { env, home: one.home });
  await two.soon('the second to be ready', () => isReady(two!));
  admin = new Audit(new Http({ baseUrl: one.url, apiKey: one.key }));
  fleet = (await admin.createKey({ name: 'fleet', roles: ['device'] })).key;
  const { key } = await admin.createKey({ name: 'operator', roles: ['operator'] });
  operator = new Audit(new Http({ baseUrl: one.url, apiKey: key }));
  const model = await one.ask(
    'POST',
    `${OWN}/models`,
    { name: 'm', framework: 'f', use_case: 'u' },
    { 'idempotency-key': randomUUID() },
  );
  await publishAll(database.appUrl, one.blobDir, ((await model.json()) as { id: string }).id, '1.0.0');
  const { body } = await register(fleet, 'first');
  for (const server of [one, two]) {
    const ask = () => call(server, 'GET', question(String(body['id'])), server.key);
    await server.soon('it to know the version', async () => (await ask()).status === 200);
  }
});
afterAll(async () => {
  for (const server of [one, two]) server?.child.kill('SIGKILL');
  await database.drop();
});

async function call(
  server: ServerProcess,
  method: string,
  path: string,
  bearer: string,
  body?: unknown,
  headers: Record<string, string> = {},
) {
  const response = await server.ask(method, path, body, { ...headers, authorization: `Bearer ${bearer}` });
  return { status: response.status, body: (await response.json()) as Readonly<Record<string, unknown>> }; // every answer here is an object
}
const register = (bearer: string, identifier: string, headers = {}, server = one!) =>
  call(server, 'POST', `${SDK}/devices/register`, bearer, { device_identifier: identifier, platform: 'ios' }, headers);
const tokenOf = ({ body }: { body: Readonly<Record<string, unknown>> }) => body['device_token'] as string; // registering answered it
const question = (device: string) => `${SDK}/devices/${device}/models/m/version`;
const beat = (server: ServerProcess, device: string, bearer: string) =>
  call(server, 'POST', `${SDK}/devices/${device}/heartbeat`, bearer, {});

describe('a key of the fleet', () => {
  it('registers a new device, and never one that is known, by its identifier or its id', async () => {
    const first = await register(fleet, 'a-1');
    expect(first.status).toBe(201);
    for (const name of ['a-1', String(first.body['id'])]) {
      for (const key of [fleet, one!.key]) {
        const again = await register(key, name, {}, two);
        expect(again).toMatchObject({ status: 409, body: { code: 'device_claimed' } });
        expect(again.body).not.toHaveProperty('device_token');
      }
    }
    expect(await register(tokenOf(first), 'a-1')).toMatchObject({ status: 200, body: { id: first.body['id'] } });
  });

  it('gets the same device again where its answer was lost, and nobody else does', async () => {
    const headers = { 'idempotency-key': randomUUID() };
    const first = await register(fleet, 'a-2', headers);
    expect(await register(fleet, 'a-2', headers, two)).toMatchObject({ status: 200, body: { id: first.body['id'] } });
    expect((await register(fleet, 'a-2', { 'idempotency-key': randomUUID() })).status).toBe(409);
    expect((await register(one!.key, 'a-2', headers)).status).toBe(409);
  });

  it('claims a device once, however many ask at once', async () => {
    const all = await Promise.all([1, 2, 3, 4, 5, 6].map((n) => register(fleet, 'a-3', {}, n % 2 ? one! : two!)));
    expect(all.map(({ status }) => status).sort()).toEqual([201, 409, 409, 409, 409, 409]);
  });

  it('does nothing else that a device does', async () => {
    const { body } = await register(fleet, 'a-4');
    const id = String(body['id']);
    const device = { device_id: id };
    const report = { session: 's', model: 'm', version: '1.0.0', seq: 1, acked: 0, predictions: { ok: 1, failed: 0 } };
    const asked = [
      await beat(one!, id, fleet),
      await beat(one!, id, one!.key),
      await call(one!, 'GET', question(id), fleet),
      await call(one!, 'GET', `${OWN}/devices/${id}/models/m/why`, fleet),
      await call(one!, 'POST', `${OWN}/devices/${id}/reports`, fleet, report),
      await call(one!, 'POST', `${OWN}/training/checkin`, fleet, device),
    ];
    expect(asked.map(({ body: problem }) => problem['code'])).toEqual(asked.map(() => 'device_token_required'));
    expect(asked.map(({ status }) => status)).toEqual(asked.map(() => 403));
    // An admin may look, as a viewer may.
    expect((await call(one!, 'GET', question(id), one!.key)).body).toMatchObject({ version: '1.0.0' });
    const told = await withAdmin(database.adminUrl, (db) =>
      db.query('SELECT FROM ops.device_model WHERE device_id = $1', [id]),
    );
    expect(told.rowCount).toBe(0);
  });
});

describe('a token that is revoked', () => {
  it('is refused on both servers, and the next registration has the device', async () => {
    const first = await register(fleet, 'b-1');
    const id = String(first.body['id']);
    for (const server of [one!, two!])
      expect((await call(server, 'GET', question(id), tokenOf(first))).status).toBe(200);
    expect(await operator.releaseDevice('b-1')).toMatchObject({ id, generation: 1 });
    for (const server of [one!, two!]) {
      await until(
        'it is refused',
        async () => (await call(server, 'GET', question(id), tokenOf(first))).status === 401,
        2_000,
      );
    }
    const next = await register(fleet, 'b-1', {}, two);
    expect(next).toMatchObject({ status: 200, body: { id } });
    expect((await register(fleet, 'b-1')).status).toBe(409);
    for (const server of [one!, two!]) {
      expect((await beat(server, id, tokenOf(next))).status).toBe(200);
      expect(await call(server, 'GET', question(id), tokenOf(first))).toMatchObject({
        status: 401,
        body: { code: 'token_revoked' },
      });
    }
  });

  it('is refused on both where nobody notifies, just after both have lost their connections', async () => {
    const first = await register(fleet, 'b-2');
    const id = String(first.body['id']);
    await withAdmin(database.adminUrl, async (db) => {
      await db.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'edgeml listen tokens%'`,
      );
      await db.query(
        'UPDATE ops.devices SET generation = 7, raised_at = clock_timestamp(), raised_by = $2 WHERE id = $1',
        [id, 'test'],
      );
    });
    for (const server of [one!, two!]) {
      await until(
        'it is refused',
        async () => (await call(server, 'GET', question(id), tokenOf(first))).status === 401,
        3_000,
      );
    }
  });
});

describe('the SDK', () => {
  const device = (more: Partial<ConstructorParameters<typeof Device>[0]> = {}) =>
    new Device({ baseUrl: one!.url, apiKey: fleet, deviceIdentifier: 'sdk', platform: 'ios', ...more });
  let kept: string | undefined;
  const onToken = (token: string) => void (kept = token);

  it('registers once with the key, and lives by its token', async () => {
    const first = device({ onToken });
    expect((await first.assignment('m'))?.version).toBe('1.0.0');
    await first.heartbeat();
    first.report('m', '1.0.0', { ok: true, latencyMs: 3 });
    expect(await first.flush()).toHaveLength(1);
    expect(await first.train(() => Promise.reject(new Error('no round is open')))).toBeNull();
    expect((await first.download('m', '1.0.0', 'safetensors')).length).toBeGreaterThan(0);
    expect(kept).toMatch(/^ed_/);
  });

  it('comes back in another process with the token it kept, and not without', async () => {
    const { apiKey: _, ...keyless } = { baseUrl: two!.url, deviceIdentifier: 'sdk', platform: 'ios', apiKey: fleet };
    const again = new Device({ ...keyless, token: kept!, onToken });
    expect((await again.assignment('m'))?.version).toBe('1.0.0');
    await expect(device().assignment('m')).rejects.toMatchObject({ name: 'Conflict', code: 'device_claimed' });
  });

  it('goes on by itself when an operator has released it', async () => {
    const running = device({ token: kept!, onToken });
    await running.heartbeat();
    const before = kept;
    await operator.releaseDevice(await running.id());
    await until('it has another token', async () => {
      await running.heartbeat();
      return kept !== before;
    });
    expect((await running.assignment('m'))?.version).toBe('1.0.0');
    // The process that was left with the old one is refused for good.
    const left = device({ token: before! });
    await expect(left.assignment('m')).rejects.toMatchObject({ code: 'device_claimed' });
  });
});
