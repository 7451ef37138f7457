/** What the API does where nothing before it did: a value that Postgres refuses, a request that stays away, a server that goes down. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createServer } from '../../api/server.ts';
import { createPool, type Pool } from '../../store/connect.ts';
import { freePort, openTestApi, type TestApi } from './testApi.ts';
import { createDatabase, type TestDatabase } from '../support/services.ts';

let t: TestApi;
let database: TestDatabase;
let pool: Pool;
beforeAll(async () => {
  t = await openTestApi();
  database = await createDatabase();
  pool = createPool({ connectionString: database.appUrl, max: 1 });
});
afterAll(async () => {
  await pool.end();
  await database.drop();
  await t.close();
});

/** The API with one more route. */
function doorWith(handler: () => Promise<unknown>) {
  const app = createServer(t.api.deps);
  app.get('/more', { config: { scope: 'none' } }, handler);
  return app;
}

const counted = async () =>
  /^edgeml_database_refusals_total (\d+)$/m.exec(await t.api.deps.metrics.registry.metrics())?.[1];

describe('a value that only Postgres refuses', () => {
  it.each([
    ['a day that is none', 'SELECT $1::timestamptz', '2026-02-30T00:00:00Z'],
    ['U+0000', 'SELECT $1::text', 'a\0b'],
    ['half a surrogate pair in JSON', `SELECT $1::jsonb`, '"\\ud800"'],
    ['a number out of range', 'SELECT $1::bigint', '9'.repeat(30)],
    ['a check of a table', `INSERT INTO store.followers (name, log_index) VALUES ($1, -5)`, 'nobody'],
  ])('is 422, and counted: %s', async (_what, sql, value) => {
    const app = doorWith(() => pool.query(sql, [value]));
    const before = Number(await counted());
    const answer = await app.inject({ url: '/more' });
    expect(answer.json()).toMatchObject({ status: 422, code: 'invalid_input', detail: expect.stringMatching(/\.$/) });
    expect(answer.statusCode).toBe(422);
    expect(Number(await counted())).toBe(before + 1);
    await app.close();
  });

  it('is told from a fault of ours, which is 500', async () => {
    const before = await counted();
    const app = doorWith(() => pool.query('SELECT nonsense'));
    expect((await app.inject({ url: '/more' })).json()).toMatchObject({ status: 500, code: 'server_error' });
    expect(await counted()).toBe(before);
    await app.close();
  });
});

/** Everything a connection brings until it is closed. */
async function readAll(socket: Socket): Promise<string> {
  let text = '';
  socket.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  await once(socket, 'close');
  return text;
}

describe('a request that does not arrive in time', () => {
  it('is answered with the one error body', async () => {
    const app = doorWith(() => Promise.resolve({}));
    const port = await freePort();
    await app.listen({ host: '127.0.0.1', port });
    const socket = connect(port, '127.0.0.1');
    const [theirs] = (await once(app.server, 'connection')) as [Socket];
    const all = readAll(socket);
    // Node raises this by its own clock, which looks every 30 s.
    app.server.emit('clientError', Object.assign(new Error('late'), { code: 'ERR_HTTP_REQUEST_TIMEOUT' }), theirs);
    const [head = '', body = ''] = (await all).split('\r\n\r\n');
    expect(head).toMatch(/^HTTP\/1\.1 408 /);
    expect(JSON.parse(body)).toMatchObject({ status: 408, code: 'request_timeout', retryable: true });
    await app.close();
  });
});

describe('a server that goes down', () => {
  it('answers what is under way, and tells who still asks with the one error body', async () => {
    let finish: (value: object) => void = () => undefined;
    let hasBegun: () => void = () => undefined;
    const begun = new Promise<void>((resolve) => (hasBegun = resolve));
    const app = doorWith(() => {
      hasBegun();
      return new Promise((resolve) => (finish = resolve));
    });
    let isDown: () => void = () => undefined;
    const down = new Promise<void>((resolve) => (isDown = resolve));
    app.addHook('preClose', (done) => {
      done();
      setImmediate(isDown);
    });
    const port = await freePort();
    await app.listen({ host: '127.0.0.1', port });
    const socket = connect(port, '127.0.0.1');
    const all = readAll(socket);
    socket.write('GET /more HTTP/1.1\r\nhost: edgeml\r\n\r\n');
    await begun;
    const closed = app.close();
    await down;
    const refused = once(app.server, 'request');
    socket.write('GET /livez HTTP/1.1\r\nhost: edgeml\r\nconnection: close\r\n\r\n');
    await refused;
    finish({ done: true });
    await closed;
    const text = await all;
    expect(text).toContain('{"done":true}');
    expect(text).toMatch(/HTTP\/1\.1 503 [\s\S]*"code":"unavailable"/);
    expect(text).toContain('"detail":"This server is going down. Ask again."');
  });
});
