/** Elects one process for a loop that must run once in the cluster: an advisory lock on a session of its own. */
import { setMaxListeners } from 'node:events';
import { openSession, type Session } from './connect.ts';
import { pause } from './pause.ts';

export interface Logger {
  info(detail: object, message: string): void;
  warn(detail: object, message: string): void;
  error(detail: object, message: string): void;
}

export interface LeadOptions {
  /** A direct connection; behind a transaction pooler the lock means nothing. */
  readonly connectionString: string;
  /** Names the lock. Who uses the same name in the same database takes turns. */
  readonly name: string;
  readonly signal: AbortSignal;
  readonly logger: Logger;
}

/** `signal` aborts when we must stop or when the session, and the lock with it, is gone. */
export type LeaderBody = (session: Session, signal: AbortSignal) => Promise<void>;

const STANDBY_MS = 500;
const PAUSE_MS = { least: 100, most: 2_000 };
const STEADY_MS = 10_000;

/** Takes the session-level lock of `name` if it is free. It is freed when the session ends. */
export async function tryLock({ client }: Session, name: string): Promise<boolean> {
  const { rows } = await client.query<{ won: boolean }>(
    `SELECT pg_try_advisory_lock(hashtext('edgeml leader'), hashtext($1)) AS won`,
    [name],
  );
  return rows[0]!.won;
}

/** Frees what {@link tryLock} took. Where the session is gone, so is the lock. */
export async function unlock({ client, gone }: Session, name: string): Promise<void> {
  if (gone.aborted) return;
  await client.query(`SELECT pg_advisory_unlock(hashtext('edgeml leader'), hashtext($1))`, [name]);
}

async function turn(
  { connectionString, name, signal }: LeadOptions,
  body: LeaderBody,
  onLead: () => void,
): Promise<void> {
  const session = await openSession(connectionString, name);
  try {
    const until = AbortSignal.any([signal, session.gone]); // one an election, and elections are seconds apart at least
    while (!until.aborted && !(await tryLock(session, name))) await pause(STANDBY_MS, until);
    if (until.aborted) return;
    onLead();
    await body(session, until);
  } finally {
    await session.end(); // frees the lock
  }
}

/**
 * Runs `body` while we hold the lock of `name`, again and again, until `signal` aborts. Never throws: a fault of `body` or of
 * the connection is logged, the lock is given up, and we stand for election again after 0.1 s to 2 s.
 *
 * The lock elects; it does not make writes safe. Between the loss of the session and `signal` another leader may begin, so
 * `body` writes by compare-and-set, or through its session only.
 */
export async function lead(options: LeadOptions, body: LeaderBody): Promise<void> {
  const { name, signal, logger } = options;
  setMaxListeners(0, signal); // one signal ends many loops, each of which listens
  let pauseMs = PAUSE_MS.least;
  while (!signal.aborted) {
    const began = performance.now();
    try {
      await turn(options, body, () => logger.info({ loop: name }, 'leads'));
      if (!signal.aborted) logger.warn({ loop: name }, 'the leader session was lost; standing for election again');
    } catch (error) {
      if (signal.aborted) return;
      logger.error({ loop: name, err: error }, 'the leader stopped; standing for election again');
    }
    pauseMs = performance.now() - began > STEADY_MS ? PAUSE_MS.least : Math.min(PAUSE_MS.most, pauseMs * 2);
    await pause(pauseMs, signal);
  }
}
