/** The service process: it starts, serves and stops while NATS and Temporal are away; the kill switch works meanwhile. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from '../support/log.ts';
import { startServer, type ServerProcess } from '../support/serverProcess.ts';
import { createDatabase, type TestDatabase } from '../support/services.ts';
import { OWN, publishAll, SDK } from './testApi.ts';

let database: TestDatabase;
let server: ServerProcess;

beforeAll(async () => {
  database = await createDatabase({ migrated: false });
  server = await startServer(database);
  await server.soon('the server to be ready', async () => (await fetch(`${server.url}/readyz`)).ok);
});
afterAll(async () => {
  server?.child.kill('SIGKILL');
  await database.drop();
});

/** Processes that have written to the server's log, apart from itself. */
const followersOf = ({ output, child }: ServerProcess) =>
  [...new Set([...output().matchAll(/"pid":(\d+)/g)].map(([, pid]) => Number(pid)))].filter((pid) => pid !== child.pid);
const lives = (pid: number) => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};
const endOf = ({ child }: ServerProcess) => new Promise<number | null>((resolve) => child.once('exit', resolve));

async function call(method: string, path: string, body?: unknown, headers: Record<string, string> = {}) {
  const response = await server.ask(method, path, body, headers);
  const answer: unknown = await response.json();
  return { status: response.status, body: answer as Readonly<Record<string, unknown>> }; // every answer here is an object
}
const post = (path: string, body: unknown) => call('POST', path, body, { 'idempotency-key': randomUUID() });

describe('without NATS and Temporal', () => {
  it('has migrated, knows the bootstrap key, and is ready but degraded', async () => {
    expect((await call('GET', `${OWN}/access/me`)).body).toMatchObject({
      org_id: 'org_local',
      roles: ['admin', 'instance'],
    });
    let ready = await call('GET', '/readyz?verbose');
    await server.soon('the read models are filled', async () => {
      ready = await call('GET', '/readyz?verbose');
      return (
        JSON.stringify(ready.body).includes('{"name":"pointers","state":"ok"}') &&
        !JSON.stringify(ready.body).includes('starting')
      );
    });
    expect(ready.status).toBe(200);
    expect(ready.body).toMatchObject({
      status: 'degraded',
      parts: expect.arrayContaining([
        expect.objectContaining({ name: 'postgres', state: 'ok' }),
        expect.objectContaining({ name: 'nats', state: 'degraded' }),
        expect.objectContaining({ name: 'temporal', state: 'degraded' }),
        { name: 'sequencer', state: 'ok' },
        { name: 'projection catalog', state: 'ok' },
        { name: 'pointers', state: 'ok' },
      ]) as unknown,
    });
  });

  it('still rolls back, and tells devices at once', async () => {
    const model = await post(`${OWN}/models`, { name: 'dark', framework: 'f', use_case: 'u' });
    await publishAll(database.appUrl, server.blobDir, String(model.body['id']), '1.0.0', '1.1.0');
    const stage = { percent: 100, ramp: '0s', min_bake: '1h', max_bake: '2h' };
    const first = await post(`${OWN}/models/dark/rollouts`, { version: '1.0.0', stages: [stage], start: true });
    await post(`${OWN}/rollouts/${String(first.body['id'])}/advance`, { override: true, reason: 'test' });
    const second = await post(`${OWN}/models/dark/rollouts`, { version: '1.1.0', stages: [stage], start: true });
    expect(second.status).toBe(201);
    const device = await post(`${SDK}/devices/register`, { device_identifier: 'phone', platform: 'ios' });
    const told = async () =>
      (await call('GET', `/devices/${String(device.body['id'])}/models/dark/version`)).body['version'];
    await server.soon('the device to be told 1.1.0', async () => (await told()) === '1.1.0');
    const stopped = await call('POST', `${OWN}/models/dark/rollback`, { reason: 'it is bad' });
    expect(stopped.body).toMatchObject({ status: 'rolled_back', target: '1.0.0' });
    await server.soon('the device to be told 1.0.0', async () => (await told()) === '1.0.0');
  });

  it('ends on SIGTERM, with everything answered, and its followers with it', async () => {
    const followers = followersOf(server);
    expect(followers).toHaveLength(2);
    const ended = endOf(server);
    server.child.kill('SIGTERM');
    expect(await ended).toBe(0);
    expect(server.output()).toContain('"msg":"stopped"');
    expect(followers.filter(lives)).toEqual([]);
  });
});

describe('the processes of the followers', () => {
  it('end with a server that is killed', async () => {
    const own = await startServer(database);
    await own.soon('they follow', async () => followersOf(own).length === 2);
    own.child.kill('SIGKILL');
    await until('they are gone', async () => !followersOf(own).some(lives));
  });

  it('end with a server that is killed before it listens to anybody', async () => {
    const own = await startServer(database);
    own.child.kill('SIGKILL');
    // Its log is closed once nobody holds it.
    await new Promise((resolve) => own.child.once('close', resolve));
  });

  it('take the server along where one is killed, so that whoever watches starts both again', async () => {
    const own = await startServer(database);
    await own.soon('they follow', async () => followersOf(own).length === 2);
    const ended = endOf(own);
    process.kill(followersOf(own)[0]!, 'SIGKILL');
    expect(await ended).toBe(1);
    expect(own.output()).toMatch(/the process of (sequencer, relay|projections) ended with SIGKILL/);
  });
});
