/**
 * One batch of a projection. Read it in one sitting: it is what makes a read model lose nothing and double nothing.
 *
 *   read the checkpoint                                                    (build, log_index)
 *   read the facts after it and the rows they need, compute the changes    no transaction: the log is not held back
 *   BEGIN; move the checkpoint from exactly (build, log_index); write; COMMIT
 *
 * Everybody who writes rows moves the checkpoint first, so a move that succeeds proves that the rows read before it are the
 * rows of that position. A crash before COMMIT leaves all as it was; after it, the next batch goes on from there.
 */
import type { SequencedEvent } from '../domain/events/envelope.ts';
import type { Client } from '../store/connect.ts';
import { codeOf } from '../store/connect.ts';
import { UndecodableFact } from '../store/log/rows.ts';
import { moveCheckpoint, readCheckpoint, recordStop, type Checkpoint } from './checkpoint.ts';
import { createRows, type BatchRows } from './rows.ts';
import { BrokenRows, load, save } from './storage.ts';
import type { Need, Projection } from './table.ts';

/** The part of the event store that a projection reads. */
export interface LogReader {
  readLog(after: number, limit: number): Promise<SequencedEvent[]>;
}

export interface FollowerOptions {
  /** Its session: all writes go through it, and it is lent to nobody else meanwhile. */
  readonly client: Client;
  readonly schema: string;
  readonly projection: Projection;
  readonly log: LogReader;
  /** A write transaction longer than this makes the next batch smaller. */
  readonly budgetMs: number;
  readonly maxEvents: number;
}

export type Step =
  | { readonly kind: 'applied'; readonly count: number; readonly position: number; readonly writeMs: number }
  | { readonly kind: 'idle'; readonly position: number }
  /** Another process, or a rebuild's swap, moved the checkpoint: nothing was written; go on from what is there now. */
  | { readonly kind: 'moved' }
  /** The fact at `at` cannot be applied. Nothing is skipped; the rows stand before it. */
  | { readonly kind: 'stopped'; readonly at: number; readonly position: number; readonly why: string };

export interface Follower {
  /** One batch, up to and including `upTo` if given. @throws the driver's error where the database fails */
  advance(upTo?: number): Promise<Step>;
}

const LEAST_EVENTS = 16;
const MAX_KNOWN_ROWS = 20_000;
const PREFETCH_ROUNDS = 3;

/** What Postgres says of values that do not fit or a key that is there twice: the fact's fault, not the connection's. */
const isFaultOfFact = (error: unknown) => error instanceof BrokenRows || /^2[123]/.test(codeOf(error) ?? '');
const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error));

/** The projection threw at this fact. */
class ProjectionFault extends Error {
  readonly at: number;
  constructor(event: SequencedEvent, cause: unknown) {
    super(`${event.fact.type} of ${event.stream}@${event.version}: ${messageOf(cause)}`, { cause });
    this.at = event.logIndex;
  }
}
function asked<T>(event: SequencedEvent, run: () => T): T {
  try {
    return run();
  } catch (error) {
    throw new ProjectionFault(event, error);
  }
}
function unlessOfFact(error: unknown): Computed['fault'] {
  if (error instanceof ProjectionFault) return { at: error.at, why: error.message };
  throw error;
}

interface Computed {
  readonly position: number;
  readonly count: number;
  readonly fault: { readonly at: number; readonly why: string } | undefined;
}

export function createFollower(options: FollowerOptions): Follower {
  const { client, schema, projection, log, budgetMs, maxEvents } = options;
  let known: { readonly build: string; readonly log_index: number; readonly rows: BatchRows } | undefined;
  let size = maxEvents;

  /** The rows we hold are current only if nobody moved the checkpoint since. */
  function rowsAt(checkpoint: Checkpoint): BatchRows {
    const isCurrent = known?.build === checkpoint.build && known.log_index === checkpoint.log_index;
    return known && isCurrent && known.rows.size < MAX_KNOWN_ROWS ? known.rows : createRows();
  }

  async function read(after: number, limit: number): Promise<{ events: SequencedEvent[]; fault: Computed['fault'] }> {
    try {
      return { events: await log.readLog(after, limit), fault: undefined };
    } catch (error) {
      if (!(error instanceof UndecodableFact) || error.logIndex === null) throw error;
      const before = error.logIndex - after - 1;
      const events = before > 0 ? await log.readLog(after, before) : [];
      return { events, fault: { at: error.logIndex, why: error.message } };
    }
  }

  /** Loads what the whole batch needs in few queries; rows that the batch itself makes are found one by one later. */
  async function prefetch(events: readonly SequencedEvent[], rows: BatchRows): Promise<void> {
    for (let round = 0; round < PREFETCH_ROUNDS; round += 1) {
      const wanted = new Map<string, Need>();
      for (const event of events) {
        for (const one of rows.missing(asked(event, () => projection.needs(event, rows)))) {
          wanted.set(JSON.stringify([one.table.name, one.key]), one);
        }
      }
      if (wanted.size === 0) return;
      await load(client, schema, [...wanted.values()], rows);
    }
  }

  async function apply(event: SequencedEvent, rows: BatchRows): Promise<void> {
    for (;;) {
      const missing = rows.missing(asked(event, () => projection.needs(event, rows)));
      if (missing.length === 0) break;
      await load(client, schema, missing, rows);
    }
    asked(event, () => rows.apply(projection.project(event, rows), event.logIndex));
  }

  async function compute(checkpoint: Checkpoint, limit: number, rows: BatchRows): Promise<Computed> {
    const { events, fault: unread } = await read(checkpoint.log_index, limit);
    let fault = unread;
    let position = checkpoint.log_index;
    let count = 0;
    try {
      await prefetch(events, rows).catch(unlessOfFact); // it will be met again below, at its own fact
      for (const event of events) {
        if (event.logIndex !== position + 1) {
          fault = { at: position + 1, why: `the log has no fact at ${position + 1}; run \`edgeml audit verify\`` };
          break;
        }
        await apply(event, rows);
        position = event.logIndex;
        count += 1;
      }
    } catch (error) {
      fault = unlessOfFact(error);
    }
    return { position, count, fault };
  }

  async function write(checkpoint: Checkpoint, to: number, rows: BatchRows): Promise<boolean> {
    await client.query('BEGIN ISOLATION LEVEL READ COMMITTED');
    try {
      const moved = await moveCheckpoint(client, schema, checkpoint, to);
      if (moved) await save(client, schema, rows);
      await client.query(moved ? 'COMMIT' : 'ROLLBACK');
      return moved;
    } catch (error) {
      await client.query('ROLLBACK').catch(() => undefined); // a lost connection has rolled back
      throw error;
    }
  }

  async function stop(checkpoint: Checkpoint, at: number, why: string): Promise<Step> {
    await recordStop(client, schema, checkpoint, at, why);
    return { kind: 'stopped', at, position: checkpoint.log_index, why };
  }

  async function attempt(limit: number): Promise<Step> {
    const checkpoint = await readCheckpoint(client, schema);
    if (!checkpoint) return { kind: 'moved' };
    const rows = rowsAt(checkpoint);
    known = undefined; // until the batch is committed
    const { position, count, fault } = await compute(checkpoint, limit, rows);
    if (count === 0) {
      if (fault) return stop(checkpoint, fault.at, fault.why);
      known = { build: checkpoint.build, log_index: position, rows };
      return { kind: 'idle', position };
    }
    const began = performance.now();
    try {
      if (!(await write(checkpoint, position, rows))) return { kind: 'moved' };
    } catch (error) {
      if (!isFaultOfFact(error)) throw error;
      // Which fact it was is told by going one by one.
      return count > 1 ? attempt(1) : stop(checkpoint, position, messageOf(error));
    }
    const writeMs = performance.now() - began;
    if (writeMs > budgetMs) size = Math.max(LEAST_EVENTS, Math.floor(size / 2));
    else if (writeMs < budgetMs / 3) size = Math.min(maxEvents, size * 2);
    known = { build: checkpoint.build, log_index: position, rows };
    return { kind: 'applied', count, position, writeMs };
  }

  return {
    async advance(upTo) {
      if (upTo === undefined) return attempt(size);
      const checkpoint = await readCheckpoint(client, schema);
      if (!checkpoint) return { kind: 'moved' };
      if (checkpoint.log_index >= upTo) return { kind: 'idle', position: checkpoint.log_index };
      return attempt(Math.min(size, upTo - checkpoint.log_index));
    },
  };
}
