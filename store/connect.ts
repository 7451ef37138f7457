/** Connections to Postgres: how our types arrive, and which faults mean that the connection is gone. */
import pg from 'pg';

export type { Client, Pool, PoolClient } from 'pg';

const safe = (text: string): number => {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new RangeError(`bigint ${text} from Postgres is not a safe integer`);
  return value;
};

const BIGINT = 20;
const BIGINT_ARRAY = 1016;
const overrides: Readonly<Record<number, (text: string) => unknown>> = {
  [BIGINT]: safe,
  [BIGINT_ARRAY]: (text) => (text === '{}' ? [] : text.slice(1, -1).split(',').map(safe)),
};

/** `bigint` arrives as a number (throws beyond 2^53), `xid8` as a string, `timestamptz` as a Date, `json` parsed. */
export const connectionTypes: pg.CustomTypesConfig = {
  getTypeParser: (oid: number, format?: 'text' | 'binary'): ((text: string) => unknown) =>
    (format === 'binary' ? undefined : overrides[oid]) ?? pg.types.getTypeParser(oid, format),
};

/** Sessions of ours run READ COMMITTED whatever the database's default: `append` refuses anything else. */
const base = (connectionString: string): pg.ClientConfig => ({
  connectionString,
  types: connectionTypes,
  options: '-c default_transaction_isolation=read\\ committed -c timezone=UTC',
  keepAlive: true,
  keepAliveInitialDelayMillis: 2_000,
  connectionTimeoutMillis: 5_000,
  application_name: 'edgeml',
});

export interface PoolOptions {
  readonly connectionString: string;
  readonly max: number;
  readonly name?: string;
  /** False: commits do not wait for the disk. Only for what may be lost, such as a ring. */
  readonly isDurable?: boolean;
  /** Told of connections that break while idle; the pool replaces them. */
  readonly onError?: (error: Error) => void;
}

/** A pool. The caller ends it. An idle connection that breaks never throws into the process. */
export function createPool(options: PoolOptions): pg.Pool {
  const { connectionString, max, name, isDurable = true, onError = () => undefined } = options;
  const config = base(connectionString);
  const pool = new pg.Pool({
    ...config,
    ...(isDurable ? {} : { options: `${config.options} -c synchronous_commit=off` }),
    max,
    idleTimeoutMillis: 30_000,
    ...(name === undefined ? {} : { application_name: `edgeml ${name}` }),
  });
  pool.on('error', onError);
  // A connection that breaks while it is lent out also fails its query; this keeps the event from ending the process.
  pool.on('connect', (client) => client.on('error', () => undefined));
  return pool;
}

export interface Session {
  readonly client: pg.Client;
  /** Aborts when the connection is gone, whether it was ended or lost. */
  readonly gone: AbortSignal;
  end(): Promise<void>;
}

/**
 * One direct connection, for what belongs to a session: advisory locks that elect a leader, LISTEN. No pooler in between.
 * The server notices a vanished host within 5 s and frees its locks; an unanswered query fails after 15 s on our side.
 *
 * @throws the driver's error if there is no connection
 */
export async function openSession(connectionString: string, name: string): Promise<Session> {
  const config = base(connectionString);
  const client = new pg.Client({
    ...config,
    application_name: `edgeml ${name}`,
    query_timeout: 15_000,
    options: `${config.options} -c tcp_keepalives_idle=2 -c tcp_keepalives_interval=1 -c tcp_keepalives_count=2`,
  });
  const gone = new AbortController();
  client.on('error', () => gone.abort());
  client.on('end', () => gone.abort());
  await client.connect();
  return {
    client,
    gone: gone.signal,
    end: () => client.end().catch(() => undefined),
  };
}

/** SQLSTATE of a Postgres error, or the system's error code (`ECONNRESET`); undefined for anything else. */
export function codeOf(error: unknown): string | undefined {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : undefined;
}

const LOST = /^(08|57P0[123]$|25P0[34]$)|^(ECONN|EPIPE$|ETIMEDOUT$|ENOTFOUND$|EAI_AGAIN$|EHOSTUNREACH$|ENETUNREACH$)/;
const LOST_MESSAGE =
  /Connection terminated|Client has encountered a connection error|timeout exceeded when trying to connect|Query read timeout/;

/** The connection was lost or could not be made: whether a statement under way took effect is unknown. */
export function isConnectionLost(error: unknown): boolean {
  const code = codeOf(error);
  if (code !== undefined && LOST.test(code)) return true;
  return error instanceof Error && LOST_MESSAGE.test(error.message);
}
