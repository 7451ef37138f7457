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
import { messageOf } from '../domain/errors.ts';
import type { Client } from '../store/connect.ts';
import { createApplier, isFaultOfFact, type Known, type LogReader, type SetAsideNow } from './applying.ts';
import { moveCheckpoint, readCheckpoint, recordStop, type Checkpoint } from './checkpoint.ts';
import { createRows, type BatchRows } from './rows.ts';
import { readSubjects } from './setAside.ts';
import { load, save } from './storage.ts';
import type { Projection } from './table.ts';

export interface FollowerOptions {
  /** Its session: all writes go through it, and it is lent to nobody else meanwhile. */
  readonly client: Client;
  readonly schema: string;
  readonly projection: Projection;
  readonly log: LogReader;
  /** Where Postgres works longer than this on the rows of a batch, the next one is smaller: its transaction holds the log back. */
  readonly budgetMs: number;
  readonly maxEvents: number;
  /** Rows that are kept from batch to batch; 20,000 without it. */
  readonly maxKnownRows?: number;
}

export type Step =
  | {
      readonly kind: 'applied';
      /** Facts that are behind it now, applied or set aside. */
      readonly count: number;
      readonly position: number;
      /** Milliseconds that Postgres worked on the rows. */
      readonly writeMs: number;
      readonly setAside: readonly SetAsideNow[];
    }
  | { readonly kind: 'idle'; readonly position: number }
  /** Another process, or a rebuild's swap, moved the checkpoint: nothing was written; go on from what is there now. */
  | { readonly kind: 'moved' }
  /** The log has no fact at `at`. The rows stand before it. */
  | { readonly kind: 'stopped'; readonly at: number; readonly position: number; readonly why: string };

export interface Follower {
  /** One batch, up to and including `upTo` if given. @throws the driver's error where the database fails */
  advance(upTo?: number): Promise<Step>;
}

/**
 * A crash of Postgres may undo the last moments of a read model, rows and checkpoint together, and the log fills them in again. So
 * nobody waits for the disk, which is most of the time of a small batch.
 */
const BEGIN = 'BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL synchronous_commit = off';
const LEAST_EVENTS = 16;
const MAX_KNOWN_ROWS = 20_000;

export function createFollower(options: FollowerOptions): Follower {
  const { client, schema, projection, log, budgetMs, maxEvents, maxKnownRows = MAX_KNOWN_ROWS } = options;
  let known: (Known & { readonly build: string; readonly log_index: number }) | undefined;
  let size = maxEvents;
  const applier = createApplier(projection, log, (needs, rows) => load(client, schema, needs, rows));

  /** What we hold is current only if nobody moved the checkpoint since. */
  async function knownAt(checkpoint: Checkpoint): Promise<Known> {
    const isCurrent = known?.build === checkpoint.build && known.log_index === checkpoint.log_index;
    if (known && isCurrent && known.rows.size < maxKnownRows) return known;
    return { rows: createRows(), subjects: await readSubjects(client, schema) };
  }

  /** @returns milliseconds that Postgres worked; undefined where another moved the checkpoint, and nothing was written */
  async function write(checkpoint: Checkpoint, to: number, rows: BatchRows): Promise<number | undefined> {
    await client.query(BEGIN);
    try {
      const moved = await moveCheckpoint(client, schema, checkpoint, to);
      const ms = moved ? await save(client, schema, rows) : undefined;
      await client.query(moved ? 'COMMIT' : 'ROLLBACK');
      return ms;
    } catch (error) {
      await client.query('ROLLBACK').catch(() => undefined); // a lost connection has rolled back
      throw error;
    }
  }

  async function stop(checkpoint: Checkpoint, at: number): Promise<Step> {
    const why = `the log has no fact at ${at}; run \`edgeml audit verify\``;
    await recordStop(client, schema, checkpoint, at, why);
    return { kind: 'stopped', at, position: checkpoint.log_index, why };
  }

  async function attempt(limit: number, unstorable?: string): Promise<Step> {
    const checkpoint = await readCheckpoint(client, schema);
    if (!checkpoint) return { kind: 'moved' };
    const now = await knownAt(checkpoint);
    known = undefined; // until the batch is committed
    const { position, count, gap, setAside } = await applier.apply(checkpoint.log_index, limit, now, () => unstorable);
    const { build } = checkpoint;
    if (count === 0) {
      if (gap !== undefined) return stop(checkpoint, gap);
      known = { rows: now.rows, subjects: now.subjects, build, log_index: position };
      return { kind: 'idle', position };
    }
    let writeMs: number | undefined;
    try {
      writeMs = await write(checkpoint, position, now.rows);
    } catch (error) {
      if (!isFaultOfFact(error) || unstorable !== undefined) throw error;
      // Halves of halves end at the fact that it was.
      return count > 1 ? attempt(Math.floor(count / 2)) : attempt(1, messageOf(error));
    }
    if (writeMs === undefined) return { kind: 'moved' };
    if (writeMs > budgetMs) size = Math.max(LEAST_EVENTS, Math.floor(size / 2));
    else if (writeMs < budgetMs / 3) size = Math.min(maxEvents, size * 2);
    known = { rows: now.rows, subjects: now.subjects, build, log_index: position };
    return { kind: 'applied', count, position, writeMs, setAside };
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
