/** For tests: a fresh database with a log, facts to append, and ways to wait on facts. */
import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { createDatabase } from './services.ts';
import { parseStream } from '../../domain/events/streams.ts';
import { machineFor } from '../../machines/registry.ts';
import { namedSql } from '../../store/sql/namedSql.ts';
import { appendValues, type AppendAnswer } from '../../store/log/appendCall.ts';
import type { AppendRequest, Expected } from '../../store/log/eventStore.ts';
import { createEventStore, type PostgresEventStore } from '../../store/log/postgresEventStore.ts';

export interface LogFixture {
  readonly appUrl: string;
  /** A superuser's URL of the same database. */
  readonly adminUrl: string;
  readonly store: PostgresEventStore;
  /** A superuser's session. */
  readonly admin: pg.Client;
  /** A session, ended by `close`; the app's unless another URL is given. */
  session(url?: string): Promise<pg.Client>;
  close(): Promise<void>;
}

/** Opens it all; the caller closes it. */
export async function openLog(): Promise<LogFixture> {
  const { adminUrl, appUrl, drop } = await createDatabase();
  const sessions: pg.Client[] = [];
  const session = async (url = appUrl) => {
    const client = new pg.Client({ connectionString: url });
    client.on('error', () => undefined); // tests end sessions on purpose
    await client.connect();
    sessions.push(client);
    return client;
  };
  const store = createEventStore({ connectionString: appUrl });
  return {
    appUrl,
    adminUrl,
    store,
    admin: await session(adminUrl),
    session,
    async close() {
      await store.close();
      await Promise.all(sessions.map((s) => s.end().catch(() => undefined)));
      await drop();
    },
  };
}

/** One small, real fact for a rollout stream. */
export const abortedFact = (
  stream: string,
  reason = 'a test',
  id: string = randomUUID(),
): AppendRequest['events'][number] => ({
  id,
  stream,
  machine: 'rollout@1',
  schemaVersion: 1,
  fact: { type: 'RolloutAborted', data: { reason } },
});

/** A request that appends one fact to each stream that is not only checked. */
export function request(
  expected: Readonly<Record<string, Expected>>,
  options: { commandId?: string; hash?: number; events?: AppendRequest['events'] } = {},
): AppendRequest {
  return {
    commandId: options.commandId ?? randomUUID(),
    commandHash: Uint8Array.of(options.hash ?? 1),
    actor: { kind: 'system', id: 'test' },
    correlationId: null,
    causationId: null,
    expected: new Map(Object.entries(expected)),
    events: options.events ?? Object.keys(expected).map((stream) => abortedFact(stream)),
  };
}

const APPEND = namedSql('append');

/** Calls the SQL function on a session of the test's own, whatever transaction that is in. */
export async function appendOn(client: pg.Client, wanted: AppendRequest): Promise<AppendAnswer> {
  return (await client.query<{ result: AppendAnswer }>(APPEND, appendValues(wanted))).rows[0]!.result;
}

/** Asks every 10 ms until it is so. @throws Error naming `what` after `patienceMs` */
export async function until(what: string, isSo: () => Promise<boolean> | boolean, patienceMs = 15_000): Promise<void> {
  const giveUpAt = performance.now() + patienceMs;
  while (!(await isSo())) {
    if (performance.now() > giveUpAt) throw new Error(`waited ${patienceMs} ms in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Writes a fact past every check of ours, as someone with the app's password could. `data` is JSON text as it is to be stored. */
export async function appendUnchecked(
  client: Pick<pg.ClientBase, 'query'>,
  { stream, type, data }: { readonly stream: string; readonly type: string; readonly data: string },
): Promise<void> {
  const machine = parseStream(stream) ? machineFor(stream).name : 'none@1';
  const values = [randomUUID(), null, 'system', 'test', null, null, [stream], [-2], [stream], [randomUUID()]];
  await client.query(APPEND, [...values, [type], [1], [machine], [data]]);
}
