/** Connections to Postgres: how our types arrive, how long anybody waits, and which faults mean that the connection is gone. */
import { Socket } from 'node:net';
import pg from 'pg';

export type { Client, Pool, PoolClient } from 'pg';

const safe = (text: string): number => {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new RangeError(`bigint ${text} from Postgres is not a safe integer`);
  return value;
};

/** As our sessions get it, in UTC: the parser of the driver reads every calendar and zone, and takes ten times as long. */
const IN_UTC = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,3})?\+00$/;
const instant = (text: string): unknown =>
  IN_UTC.test(text)
    ? new Date(`${text.slice(0, 10)}T${text.slice(11, -3)}Z`)
    : pg.types.getTypeParser(TIMESTAMPTZ)(text);

const BIGINT = 20;
const BIGINT_ARRAY = 1016;
const TIMESTAMPTZ = 1184;
const overrides: Readonly<Record<number, (text: string) => unknown>> = {
  [BIGINT]: safe,
  [TIMESTAMPTZ]: instant,
  [BIGINT_ARRAY]: (text) => (text === '{}' ? [] : text.slice(1, -1).split(',').map(safe)),
};

/** `bigint` arrives as a number (throws beyond 2^53), `xid8` as a string, `timestamptz` as a Date, `json` parsed. */
export const connectionTypes: pg.CustomTypesConfig = {
  getTypeParser: (oid: number, format?: 'text' | 'binary'): ((text: string) => unknown) =>
    (format === 'binary' ? undefined : overrides[oid]) ?? pg.types.getTypeParser(oid, format),
};

/** Sessions of ours run READ COMMITTED whatever the database's default: `append` refuses anything else. */
const base = (connectionString: string): pg.ClientConfig & { readonly options: string } => ({
  connectionString,
  types: connectionTypes,
  options: '-c default_transaction_isolation=read\\ committed -c timezone=UTC',
  keepAlive: true,
  keepAliveInitialDelayMillis: 2_000,
  connectionTimeoutMillis: 5_000,
  application_name: 'edgeml',
});

/**
 * How long one statement may take, by who waits for it: somebody who stops something, somebody who asks, or a process that does
 * long work and tries again by itself. A stop and a question are answered within 10 s, the wait for a connection included.
 * `statementMs` is kept by the server. A host that has vanished keeps nothing, so our side gives up `GRACE_MS` after that.
 */
const LIMITS = {
  stop: { connectMs: 2_000, statementMs: 3_000 },
  question: { connectMs: 3_000, statementMs: 5_000 },
  work: { connectMs: 5_000, statementMs: 10_000 },
} as const;
const GRACE_MS = 1_000;

export type Waits = keyof typeof LIMITS;

export interface PoolOptions {
  readonly connectionString: string;
  readonly max: number;
  readonly name?: string;
  /** Whose time a statement takes; `work` without it. */
  readonly waits?: Waits;
  /** False: commits do not wait for the disk. Only for what may be lost, such as a notification. */
  readonly isDurable?: boolean;
  /** Told of connections that break while idle; the pool replaces them. */
  readonly onError?: (error: Error) => void;
}

const READ_TIMEOUT = 'Query read timeout';
const isReadTimeout = (error: unknown) => error instanceof Error && error.message === READ_TIMEOUT;

/**
 * A client that ends with the first statement that our side gave up on. The driver goes on waiting for that answer, so whatever
 * is sent next on the connection would wait behind it. A pool replaces a client that has ended, however it was given back.
 */
class TimedClient extends pg.Client {
  override query(text: unknown, values?: unknown, done?: unknown): never {
    // One signature for the many of the driver, which tells them apart by what it is given.
    const ask = super.query.bind(this) as (text: unknown, values: unknown, done: unknown) => unknown;
    const answer = ask(text, values, done);
    if (answer instanceof Promise) answer.catch((error: unknown) => void (isReadTimeout(error) && this.end()));
    return answer as never; // what the driver answers, whichever of its signatures was called
  }
}

/** A pool. The caller ends it. An idle connection that breaks never throws into the process. */
export function createPool(options: PoolOptions): pg.Pool {
  const { connectionString, max, name, waits = 'work', isDurable = true, onError = () => undefined } = options;
  const { connectMs, statementMs } = LIMITS[waits];
  const config = base(connectionString);
  const pool = new pg.Pool({
    ...config,
    Client: TimedClient,
    options: `${config.options} -c statement_timeout=${statementMs}${isDurable ? '' : ' -c synchronous_commit=off'}`,
    connectionTimeoutMillis: connectMs,
    query_timeout: statementMs + GRACE_MS,
    max,
    idleTimeoutMillis: 30_000,
    ...(name === undefined ? {} : { application_name: `edgeml ${name}` }),
  });
  pool.on('error', onError);
  // A connection that breaks while it is lent out also fails its query; this keeps the event from ending the process.
  pool.on('connect', (client) => client.on('error', () => undefined));
  return pool;
}

const OWNER_STATEMENT_MS = 6 * 3_600_000;

/** For what the owner of the log does once: a statement may rewrite a large table, so it has hours; a connection has 5 s. */
export const ownerConfig = (connectionString: string, name: string): pg.ClientConfig => ({
  connectionString,
  types: connectionTypes,
  keepAlive: true,
  connectionTimeoutMillis: 5_000,
  query_timeout: OWNER_STATEMENT_MS,
  application_name: `edgeml ${name}`,
});

export interface Session {
  readonly client: pg.Client;
  /** Aborts when the connection is gone, whether it was ended or lost. */
  readonly gone: AbortSignal;
  /** Takes a second at most: a host that does not answer the farewell is left. */
  end(): Promise<void>;
}

const SESSION_QUERY_MS = 15_000;
const BEAT_MS = 5_000;
const FAREWELL_MS = 1_000;

/**
 * One direct connection, for what belongs to a session: advisory locks that elect a leader, LISTEN. No pooler in between.
 * The server notices a vanished host within 5 s and frees its locks; an unanswered query fails after 15 s on our side.
 *
 * @throws the driver's error if there is no connection
 */
export async function openSession(connectionString: string, name: string): Promise<Session> {
  const config = base(connectionString);
  const socket = new Socket();
  const client = new TimedClient({
    ...config,
    stream: () => socket,
    application_name: `edgeml ${name}`,
    query_timeout: SESSION_QUERY_MS,
    options: `${config.options} -c tcp_keepalives_idle=2 -c tcp_keepalives_interval=1 -c tcp_keepalives_count=2`,
  });
  const gone = new AbortController();
  client.on('error', () => gone.abort());
  client.on('end', () => gone.abort());
  await client.connect();
  return {
    client,
    gone: gone.signal,
    end: () => farewell(client, socket),
  };
}

async function farewell(client: pg.Client, socket: Socket): Promise<void> {
  const timer = setTimeout(() => socket.destroy(), FAREWELL_MS);
  await client.end().catch(() => undefined);
  clearTimeout(timer);
}

/**
 * Asks something each 5 s, until the session is gone: for one that only listens, which would else never notice that its host has
 * vanished. Its `gone` aborts within 20 s then.
 */
export function keepAsking({ client, gone }: Session): void {
  if (gone.aborted) return;
  let asked: Promise<unknown> | undefined;
  const ask = () => client.query('SELECT 1').catch(() => undefined);
  const timer = setInterval(() => void (asked ??= ask().finally(() => (asked = undefined))), BEAT_MS);
  gone.addEventListener('abort', () => clearInterval(timer), { once: true });
}

/** SQLSTATE of a Postgres error, or the system's error code (`ECONNRESET`); undefined for anything else. */
export function codeOf(error: unknown): string | undefined {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : undefined;
}

const LOST = /^(08|57P0[123]$|25P0[34]$)|^(ECONN|EPIPE$|ETIMEDOUT$|ENOTFOUND$|EAI_AGAIN$|EHOSTUNREACH$|ENETUNREACH$)/;
const LOST_MESSAGE =
  /Connection terminated|Client has encountered a connection error|Client was closed|timeout exceeded when trying to connect|Query read timeout/;

/** A fault of Postgres or of the way to it: the server's own errors carry a SQLSTATE. */
export function isPostgresFault(error: unknown): boolean {
  return error instanceof pg.DatabaseError || isConnectionLost(error);
}

/** The connection was lost or could not be made: whether a statement under way took effect is unknown. */
export function isConnectionLost(error: unknown): boolean {
  const code = codeOf(error);
  if (code !== undefined && LOST.test(code)) return true;
  return error instanceof Error && LOST_MESSAGE.test(error.message);
}

// Statement time-out, lock time-out, deadlock, no connection free.
const BUSY = new Set(['57014', '55P03', '40P01', '53300']);

/** Postgres is there, and did not do it in time: nothing of the statement took effect, and a second try may fare better. */
export function isBusy(error: unknown): boolean {
  return BUSY.has(codeOf(error) ?? '');
}

/** Postgres refused a value as such: text, number or date that its type cannot hold (class 22), or a check of a table. */
export function isDataRefused(error: unknown): boolean {
  return /^(22[0-9A-Z]{3}|23514)$/.test(codeOf(error) ?? '');
}
