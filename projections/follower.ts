/**
 * One batch of a projection. Read it in one sitting: it is what makes a read model lose nothing and double nothing.
 *
 *   read the checkpoint                                                    (build, log_index)
 *   read the facts after it and the rows they need, compute the changes    no transaction: the log is not held back
 *   BEGIN; move the checkpoint from exactly (build, log_index); write; COMMIT
 *
 * Everybody who writes rows moves the checkpoint first, so a move that succeeds proves that the rows read before it are the
 * rows of that position. A crash before COMMIT leaves all as it was; after it, the next batch goes on from there.
 *
 * A fact that cannot be read, projected or stored is set aside with its subject (`setAside.ts`), in the same transaction; the
 * others go on. What is set aside follows from the log alone, so every filling of the read model sets aside the same.
 */
import type { SequencedEvent } from '../domain/events/envelope.ts';
import { printable } from '../domain/hash/soundJson.ts';
import type { Client } from '../store/connect.ts';
import { codeOf } from '../store/connect.ts';
import { UndecodableFact } from '../store/log/rows.ts';
import { turnBefore } from '../store/turns.ts';
import { moveCheckpoint, readCheckpoint, recordStop, type Checkpoint } from './checkpoint.ts';
import { createRows, type BatchRows } from './rows.ts';
import { readSubjects } from './setAside.ts';
import { BrokenRows, load, save } from './storage.ts';
import { add, setAsideRows, type About, type Need, type Projection } from './table.ts';
import { cutText } from '../domain/text.ts';

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
  /** Where Postgres works longer than this on the rows of a batch, the next one is smaller: its transaction holds the log back. */
  readonly budgetMs: number;
  readonly maxEvents: number;
  /** Rows that are kept from batch to batch; 20,000 without it. */
  readonly maxKnownRows?: number;
}

export interface SetAsideNow {
  readonly subject: string;
  /** Log index of the subject's first fact that was set aside. */
  readonly first: number;
  readonly isFirst: boolean;
  readonly why: string;
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
const PREFETCH_ROUNDS = 3;
const WHY_MOST = 500;

/** What Postgres says of values that do not fit or a key that is there twice: the fact's fault, not the connection's. */
const isFaultOfFact = (error: unknown) => error instanceof BrokenRows || /^(2[123]|54)/.test(codeOf(error) ?? '');
const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error));

/** One place of the log; `event` is absent where its fact cannot be read, and `why` says so. */
interface Entry {
  readonly logIndex: number;
  readonly about: About;
  readonly event?: SequencedEvent;
  readonly why?: string;
}
const readable = (event: SequencedEvent): Entry => {
  const { logIndex, stream, version, fact } = event;
  return { logIndex, about: { stream, version, type: fact.type, data: fact.data }, event };
};
const unreadable = (logIndex: number, error: UndecodableFact): Entry => {
  const { stream, version, type, data } = error;
  return { logIndex, about: { stream, version, type, data }, why: error.why };
};

/** What is known at a position: rows by key, and the subjects that are set aside with the index of their first fact. */
interface Known {
  readonly rows: BatchRows;
  readonly subjects: Map<string, number>;
}
interface Batch extends Known {
  readonly setAside: SetAsideNow[];
}

interface Computed {
  readonly position: number;
  readonly count: number;
  /** The index at which the log has a gap. */
  readonly gap: number | undefined;
}

export function createFollower(options: FollowerOptions): Follower {
  const { client, schema, projection, log, budgetMs, maxEvents, maxKnownRows = MAX_KNOWN_ROWS } = options;
  let known: (Known & { readonly build: string; readonly log_index: number }) | undefined;
  let size = maxEvents;

  /** What we hold is current only if nobody moved the checkpoint since. */
  async function knownAt(checkpoint: Checkpoint): Promise<Known> {
    const isCurrent = known?.build === checkpoint.build && known.log_index === checkpoint.log_index;
    if (known && isCurrent && known.rows.size < maxKnownRows) return known;
    return { rows: createRows(), subjects: await readSubjects(client, schema) };
  }

  async function read(after: number, limit: number): Promise<Entry[]> {
    if (limit < 1) return [];
    try {
      return (await log.readLog(after, limit)).map(readable);
    } catch (error) {
      if (!(error instanceof UndecodableFact) || error.logIndex === null) throw error;
      const before = await read(after, Math.min(error.logIndex - after, limit) - 1);
      return [...before, unreadable(error.logIndex, error)];
    }
  }

  /** Loads what the whole batch needs in few queries; rows that the batch itself makes are found one by one later. */
  async function prefetch(entries: readonly Entry[], rows: BatchRows): Promise<void> {
    for (let round = 0; round < PREFETCH_ROUNDS; round += 1) {
      const wanted = new Map<string, Need>();
      for (const { event } of entries) {
        for (const one of event ? rows.missing(projection.needs(event, rows)) : []) {
          wanted.set(JSON.stringify([one.table.name, one.key]), one);
        }
      }
      if (wanted.size === 0) return;
      await load(client, schema, [...wanted.values()], rows);
    }
  }

  async function subjectOf({ about }: Entry, rows: BatchRows): Promise<string | undefined> {
    const missing = rows.missing(projection.subjectNeeds?.(about) ?? []);
    if (missing.length > 0) await load(client, schema, missing, rows);
    return projection.subjectOf ? projection.subjectOf(about, rows) : about.stream;
  }

  /** Changes the rows. @returns why the fact cannot be applied: then nothing was changed */
  async function apply(event: SequencedEvent, rows: BatchRows): Promise<string | undefined> {
    for (;;) {
      let missing: readonly Need[];
      try {
        missing = rows.missing(projection.needs(event, rows));
        if (missing.length === 0) {
          rows.apply(projection.project(event, rows), event.logIndex);
          return undefined;
        }
      } catch (error) {
        return messageOf(error);
      }
      try {
        await load(client, schema, missing, rows);
      } catch (error) {
        if (!isFaultOfFact(error)) throw error;
        return messageOf(error);
      }
    }
  }

  /** @param unstorable why Postgres does not take what this fact makes, if that is known already */
  async function take(
    entry: Entry,
    { rows, subjects, setAside }: Batch,
    unstorable: string | undefined,
  ): Promise<void> {
    const { logIndex, about, event } = entry;
    const subject = await subjectOf(entry, rows);
    // An unreadable fact of another read model, or one that this one would not have looked at.
    if (subject === undefined && !event) return;
    const since = subject === undefined ? undefined : subjects.get(subject);
    const why =
      since === undefined
        ? (entry.why ?? unstorable ?? (event && (await apply(event, rows))))
        : `its subject is set aside since ${since}`;
    if (why === undefined) return;
    const row = { subject: subject ?? about.stream, type: about.type, why: cutText(printable(why), WHY_MOST) };
    if (since === undefined) subjects.set(row.subject, logIndex);
    rows.apply([add(setAsideRows, row)], logIndex);
    setAside.push({ subject: row.subject, first: since ?? logIndex, isFirst: since === undefined, why: row.why });
  }

  async function compute(after: number, limit: number, now: Batch, unstorable?: string): Promise<Computed> {
    const entries = await read(after, limit);
    // What goes wrong here is met again below, at its own fact.
    await prefetch(entries, now.rows).catch(() => undefined);
    let position = after;
    for (const [i, entry] of entries.entries()) {
      await turnBefore(i);
      if (entry.logIndex !== position + 1) return { position, count: position - after, gap: position + 1 };
      await take(entry, now, unstorable);
      position = entry.logIndex;
    }
    return { position, count: position - after, gap: undefined };
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
    const now: Batch = { ...(await knownAt(checkpoint)), setAside: [] };
    known = undefined; // until the batch is committed
    const { position, count, gap } = await compute(checkpoint.log_index, limit, now, unstorable);
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
    return { kind: 'applied', count, position, writeMs, setAside: now.setAside };
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
