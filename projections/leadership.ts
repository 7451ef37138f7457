/** One process in the cluster runs a projection: an advisory lock on the session through which it writes. */
import { openSession, type Session } from '../store/connect.ts';

export interface Logger {
  info(detail: object, message: string): void;
  warn(detail: object, message: string): void;
  error(detail: object, message: string): void;
}

const STANDBY_MS = 500;
const PAUSE_MS = { least: 100, most: 2_000 };
const STEADY_MS = 10_000;

/** Resolves after `ms`, at once when `signal` aborts. Never throws. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done);
  });
}

/** Takes the session-level lock of `name` if it is free. It is freed when the session ends. */
export async function tryLock({ client }: Session, name: string): Promise<boolean> {
  const { rows } = await client.query<{ won: boolean }>(
    `SELECT pg_try_advisory_lock(hashtext('edgeml projection'), hashtext($1)) AS won`,
    [name],
  );
  return rows[0]!.won;
}

async function turn(options: LeadOptions, body: Body): Promise<void> {
  const session = await openSession(options.connectionString, options.name);
  const until = AbortSignal.any([options.signal, session.gone]);
  try {
    while (!until.aborted) {
      if (await tryLock(session, options.name)) return await body(session, until);
      await pause(STANDBY_MS, until);
    }
  } finally {
    await session.end();
  }
}

export interface LeadOptions {
  /** Direct: behind a transaction pooler the lock means nothing. */
  readonly connectionString: string;
  readonly name: string;
  readonly signal: AbortSignal;
  readonly logger: Logger;
}
type Body = (session: Session, signal: AbortSignal) => Promise<void>;

/**
 * Runs `body` while we hold the lock, again and again until `signal` aborts. Never throws: a lost connection or a fault of the
 * database is logged and we stand again after 0.1 s to 2 s. The lock only elects; what makes two leaders harmless is that every
 * write moves a checkpoint from the value that was read.
 */
export async function lead(options: LeadOptions, body: Body): Promise<void> {
  const { name, signal, logger } = options;
  let pauseMs = PAUSE_MS.least;
  while (!signal.aborted) {
    const began = performance.now();
    try {
      await turn(options, body);
    } catch (error) {
      if (!signal.aborted) logger.warn({ loop: name, err: error }, 'the projection lost its turn; it stands again');
    }
    pauseMs = performance.now() - began > STEADY_MS ? PAUSE_MS.least : Math.min(PAUSE_MS.most, pauseMs * 2);
    await pause(pauseMs, signal);
  }
}
