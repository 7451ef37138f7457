/**
 * The first filling of a read model's schema, beside the one of an earlier build, which answers lists meanwhile.
 *
 *   fill `rm_<name>_v<n>__next` in committed batches   a crash here: the next leader goes on from its checkpoint
 *   at the head: rename to `rm_<name>_v<n>`            one statement: lists read it from now on, whole
 *   drop earlier versions that nobody fills            a crash here: the next leader drops them
 */
import type { Session } from '../store/connect.ts';
import { tryLock, unlock, type Logger } from '../store/leader.ts';
import { pause } from '../store/pause.ts';
import { createSchema, dropSchemaUnread, quote, schemaExists } from './ddl.ts';
import type { LogReader } from './applying.ts';
import { createFollower, type Step } from './follower.ts';
import { nextOf, schemaOf, type Projection } from './table.ts';

export interface FirstFillOptions {
  readonly projection: Projection;
  readonly log: LogReader;
  readonly signal: AbortSignal;
  readonly logger: Logger;
  readonly onStep: (step: Step) => void;
}

const BUDGET_MS = 250;
const MAX_EVENTS = 2_000;
const RETRY_STOPPED_MS = 5_000;
const RETRY_LOCK_MS = 500;
const RETRY_IDLE_MS = 20;

/**
 * Returns once the schema is there, or when `signal` aborts. Only the projection's leader calls it, over its own session.
 *
 * @throws the driver's error
 */
export async function fillFirst(session: Session, options: FirstFillOptions): Promise<void> {
  const { projection, signal, logger } = options;
  const live = schemaOf(projection);
  while (!signal.aborted && !(await schemaExists(session.client, live))) {
    // Held by a rebuild: it fills the same schema, and renames it.
    if (!(await tryLock(session, nextOf(live)))) {
      await pause(RETRY_LOCK_MS, signal);
      continue;
    }
    try {
      if (!(await fillNext(session, options))) return;
      await session.client.query(`ALTER SCHEMA ${quote(nextOf(live))} RENAME TO ${quote(live)}`);
      logger.info({ projection: projection.name, schema: live }, 'the read model is filled, and answers from now on');
    } finally {
      await unlock(session, nextOf(live));
    }
  }
}

/** @returns false when `signal` aborted before the head was reached */
async function fillNext({ client }: Session, { projection, log, signal, onStep }: FirstFillOptions): Promise<boolean> {
  const schema = nextOf(schemaOf(projection));
  await createSchema(client, schema, projection);
  const follower = createFollower({ client, schema, projection, log, budgetMs: BUDGET_MS, maxEvents: MAX_EVENTS });
  while (!signal.aborted) {
    const { rows } = await client.query<{ head: number }>('SELECT coalesce(max(log_index), -1) AS head FROM store.log');
    const step = await follower.advance();
    onStep(step);
    if (step.kind !== 'moved' && step.kind !== 'stopped' && step.position >= rows[0]!.head) return true;
    if (step.kind === 'stopped') await pause(RETRY_STOPPED_MS, signal);
    if (step.kind === 'idle') await pause(RETRY_IDLE_MS, signal);
    if (step.kind === 'moved') await createSchema(client, schema, projection); // dropped by hand: begin anew
  }
  return false;
}

/**
 * Drops what earlier versions left, unless somebody leads one or rebuilds it: a server of an earlier build, which still reads it. The
 * locks stay with the session, so that no such server begins to fill it again while we lead.
 */
export async function dropEarlier(session: Session, projection: Projection, logger: Logger): Promise<void> {
  const { rows } = await session.client.query<{ base: string; version: number }>(
    `SELECT DISTINCT m[1] AS base, m[2]::int AS version
       FROM pg_namespace, regexp_match(nspname, $1) AS m WHERE m IS NOT NULL AND length(m[2]) < 9 ORDER BY version`,
    [`^(rm_${projection.name}_v([0-9]+))(?:__(?:next|old))?$`],
  );
  for (const { base } of rows.filter(({ version }) => version < projection.version)) {
    if (!(await tryLock(session, base)) || !(await tryLock(session, nextOf(base)))) continue;
    for (const schema of [base, nextOf(base), `${base}__old`]) await dropSchemaUnread(session.client, schema, logger);
  }
}
