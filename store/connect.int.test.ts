/** Statements that nobody answers: how they end, and what becomes of their connections. */
import { Kysely, PostgresDialect, sql } from 'kysely';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { clusterOf } from '../test/support/services.ts';
import { openRelay, type Relay } from '../test/support/relay.ts';
import { createPool, isBusy, isConnectionLost, openSession, type Pool } from './connect.ts';

let relay: Relay;
let pool: Pool;
beforeEach(async () => {
  relay = await openRelay(clusterOf().adminUrl);
  pool = createPool({ connectionString: relay.url(clusterOf().adminUrl), max: 1, waits: 'stop' });
});
afterEach(async () => {
  relay.resume();
  if (!pool.ended) await pool.end();
  await relay.close();
});

const faultOf = async (answer: Promise<unknown>): Promise<unknown> =>
  answer.then(
    () => undefined,
    (error: unknown) => error,
  );

it('a connection whose answer was given up on is not used again, although it was given back without a word', async () => {
  const client = await pool.connect();
  await client.query('SELECT 1');
  relay.swallow();
  const fault = await faultOf(client.query('SELECT 1 AS first'));
  expect(isConnectionLost(fault)).toBe(true);
  client.release(); // as Kysely does
  expect(pool.totalCount).toBe(0);
  relay.resume();
  expect((await pool.query<{ n: number }>('SELECT 2 AS n')).rows).toEqual([{ n: 2 }]);
});

it('reads of Kysely go on with another connection', async () => {
  const db = new Kysely<object>({ dialect: new PostgresDialect({ pool }) });
  const ask = () => sql<{ n: number }>`SELECT 1 AS n`.execute(db);
  await ask();
  relay.swallow();
  expect(isConnectionLost(await faultOf(ask()))).toBe(true);
  relay.resume();
  expect((await ask()).rows).toEqual([{ n: 1 }]);
  await db.destroy();
});

it('a new connection to a host that does not answer is given up on, too', async () => {
  relay.swallow();
  expect(isConnectionLost(await faultOf(pool.query('SELECT 1')))).toBe(true);
});

it('a statement that is only slow is ended by the server, and its connection is used again', async () => {
  const pid = async () => (await pool.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')).rows[0]!.pid;
  const client = await pool.connect();
  const fault = await faultOf(client.query('SELECT pg_sleep(60)'));
  client.release();
  expect(isBusy(fault)).toBe(true);
  expect(isConnectionLost(fault)).toBe(false);
  expect(await pid()).toBe(await pid());
});

it('a session ends although nobody answers its farewell', async () => {
  const session = await openSession(relay.url(clusterOf().adminUrl), 'test');
  await session.client.query('LISTEN edgeml_log');
  relay.swallow();
  await session.end();
  expect(session.gone.aborted).toBe(true);
});
