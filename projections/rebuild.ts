/**
 * Makes a read model again from the log while the live one goes on, compares, and swaps.
 *
 *   fill `…__next` in committed batches           a crash here: the next rebuild goes on from its checkpoint
 *   compare with live as of one place, both ways  reads only
 *   catch up to within 100 facts
 *   one transaction: lock the live checkpoint, finish, retire it, rename twice
 *                                                 a crash here: swapped, or not
 *   drop the old                                  a crash here: the next rebuild or start drops it
 */
import { LifecycleError } from '../domain/errors.ts';
import { openSession, type Client } from '../store/connect.ts';
import { tryLock, type Logger } from '../store/leader.ts';
import { compareSchemas, type Difference } from './compare.ts';
import { readCheckpoint } from './checkpoint.ts';
import { createSchema, dropSchemaUnread, quote, schemaExists } from './ddl.ts';
import type { LogReader } from './applying.ts';
import { createFollower, type Follower } from './follower.ts';
import { projections } from './registry.ts';
import { nextOf, schemaOf, type Projection } from './table.ts';

export interface RebuildOptions {
  /** As `edgeml_app`, direct. */
  readonly connectionString: string;
  readonly log: LogReader & { head(): Promise<number> };
  readonly logger: Logger;
  readonly signal?: AbortSignal;
  readonly onProgress?: (name: string, done: number, total: number) => void;
}

export interface Rebuilt {
  readonly name: string;
  /** Where the two were compared; -1 if there was nothing to compare. */
  readonly comparedAt: number;
  /** What the live rows had wrong (or a changed projection makes otherwise) under the same version. Empty: equal. */
  readonly differences: readonly Difference[];
  /** Checkpoint of the new rows at the swap. */
  readonly position: number;
}

const BUDGET_MS = 250;
const MAX_EVENTS = 2_000;
const NEAR = 100;
const never = new AbortController().signal;

/** The log could not be applied; the read model that is live stays. */
export class RebuildStopped extends Error {
  override readonly name = 'RebuildStopped';
  readonly logIndex: number;
  constructor(name: string, at: number, why: string) {
    super(`rebuild of ${name} stopped at ${at}: ${why}`);
    this.logIndex = at;
  }
}

/**
 * Applies facts until the position is `upTo`. Resumes where the schema's checkpoint stands.
 *
 * @throws RebuildStopped at a fact that cannot be applied; Error when `signal` aborts
 */
export async function fill(
  follower: Follower,
  {
    name,
    upTo,
    signal,
    onPosition,
  }: { name: string; upTo: number; signal: AbortSignal; onPosition?: (at: number) => void },
): Promise<void> {
  for (;;) {
    if (signal.aborted) throw new Error(`rebuild of ${name} was cancelled; the next one resumes it`);
    const step = await follower.advance(upTo);
    if (step.kind === 'stopped') throw new RebuildStopped(name, step.at, step.why);
    if (step.kind === 'moved') throw new Error(`another process writes the rebuild of ${name}; let it end`);
    onPosition?.(step.position);
    if (step.position >= upTo) return;
    if (step.kind === 'idle') throw new RebuildStopped(name, step.position + 1, 'the log ends before its own head');
  }
}

async function lockCheckpoint(client: Client, schema: string): Promise<number> {
  const { rows } = await client.query<{ log_index: number }>(
    `SELECT log_index FROM ${quote(schema)}.checkpoint FOR UPDATE`,
  );
  return rows[0]!.log_index;
}

/**
 * Puts the new rows in the place of the old. `client` holds the live checkpoint meanwhile, so nobody moves it, while `finish`
 * brings the new rows just as far through another session: readers never go back. Some 20 ms, since a write transaction holds the
 * log back.
 *
 * @returns false, and nothing changed, where too much is left to finish under the lock
 */
async function swap(client: Client, projection: Projection, finish: (upTo: number) => Promise<void>): Promise<boolean> {
  const live = schemaOf(projection);
  const [next, old] = [nextOf(live), `${live}__old`];
  await client.query('BEGIN ISOLATION LEVEL READ COMMITTED');
  try {
    if (await schemaExists(client, live)) {
      const ahead = await lockCheckpoint(client, live);
      const mine = await readCheckpoint(client, next);
      if (!mine || ahead - mine.log_index > NEAR) {
        await client.query('ROLLBACK');
        return false;
      }
      await finish(ahead);
      // A runner that waits for the old row finds none and reads anew: it cannot write half of a batch into each.
      await client.query(`DELETE FROM ${quote(live)}.checkpoint`);
      await client.query(`ALTER SCHEMA ${quote(live)} RENAME TO ${quote(old)}`);
    }
    await client.query(`ALTER SCHEMA ${quote(next)} RENAME TO ${quote(live)}`);
    await client.query('COMMIT');
    return true;
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined);
    throw error;
  }
}

/**
 * Rebuilds one read model. The live one answers all the while; a reader sees one or the other, at no lower position. A killed
 * rebuild is resumed by the next call.
 *
 * @throws LifecycleError `conflict` if another process rebuilds it now; RebuildStopped where the log cannot be applied
 */
export async function rebuild(projection: Projection, options: RebuildOptions): Promise<Rebuilt> {
  const { connectionString, log, logger, signal = never, onProgress } = options;
  const { name } = projection;
  const live = schemaOf(projection);
  const next = nextOf(live);
  const session = await openSession(connectionString, `rebuild ${name}`);
  const { client } = session;
  const swapper = await openSession(connectionString, `swap ${name}`);
  try {
    if (!(await tryLock(session, next)))
      throw new LifecycleError('conflict', `The read model ${name} is being rebuilt. Wait for that rebuild.`);
    await dropSchemaUnread(client, `${live}__old`, logger);
    await createSchema(client, next, projection);
    const follower = createFollower({
      client,
      schema: next,
      projection,
      log,
      budgetMs: BUDGET_MS,
      maxEvents: MAX_EVENTS,
    });
    const head = await log.head();
    const onPosition = (at: number) => onProgress?.(name, at + 1, head + 1);
    await fill(follower, { name, upTo: head, signal, onPosition });

    const there = await readCheckpoint(client, live);
    const comparedAt = Math.min(head, there?.log_index ?? -1);
    const differences = there
      ? await compareSchemas(client, projection, { expected: next, actual: live, at: comparedAt, limit: 20 })
      : [];
    if (differences.length > 0)
      logger.warn({ projection: name, differences }, 'the live read model was not what the log says');

    do await fill(follower, { name, upTo: await log.head(), signal });
    while (!(await swap(swapper.client, projection, (upTo) => fill(follower, { name, upTo, signal }))));
    const position = (await readCheckpoint(client, live))?.log_index ?? -1;
    logger.info({ projection: name, position, differences: differences.length }, 'the rebuilt read model is live');
    await dropSchemaUnread(client, `${live}__old`, logger);
    return { name, comparedAt, differences, position };
  } finally {
    await Promise.all([swapper.end(), session.end()]);
  }
}

/** Every read model of this build, one after the other. @throws as {@link rebuild}, at the first that fails */
export async function rebuildAll(options: RebuildOptions): Promise<Rebuilt[]> {
  const done: Rebuilt[] = [];
  for (const projection of projections) done.push(await rebuild(projection, options));
  return done;
}
