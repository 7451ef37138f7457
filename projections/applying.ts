/**
 * Facts through a projection, in log order, onto rows in memory. Whoever writes the rows (`follower.ts`) and whoever compares them
 * (`audit/`) apply facts here, and bring the rows that are not in memory.
 *
 * A fact that cannot be read, projected or stored is set aside with its subject (`setAside.ts`), and the others go on. What is set aside
 * follows from the log alone, so every filling of the read model sets aside the same.
 */
import { messageOf } from '../domain/errors.ts';
import type { SequencedEvent } from '../domain/events/envelope.ts';
import { printable } from '../domain/hash/soundJson.ts';
import { cutText } from '../domain/text.ts';
import { codeOf } from '../store/connect.ts';
import { UndecodableFact } from '../store/log/rows.ts';
import { turnBefore } from '../store/turns.ts';
import type { BatchRows } from './rows.ts';
import { BrokenRows } from './storage.ts';
import { add, setAsideRows, type About, type Need, type Projection } from './table.ts';

/** The part of the event store that a projection reads. */
export interface LogReader {
  readLog(after: number, limit: number): Promise<SequencedEvent[]>;
}

export interface SetAsideNow {
  readonly subject: string;
  /** Log index of the subject's first fact that was set aside. */
  readonly first: number;
  readonly isFirst: boolean;
  readonly why: string;
}

/** What is known at a position: rows by key, and the subjects that are set aside with the index of their first fact. */
export interface Known {
  readonly rows: BatchRows;
  readonly subjects: Map<string, number>;
}

export interface Applied {
  /** Log index of the last fact that is behind it now, applied or set aside. */
  readonly position: number;
  readonly count: number;
  readonly setAside: readonly SetAsideNow[];
  /** The index at which the log has a gap. */
  readonly gap: number | undefined;
}

export type Unstorable = (logIndex: number) => string | undefined;

export interface Applier {
  /**
   * At most `limit` facts after `after`, onto `known`.
   *
   * @param unstorable answers why Postgres does not take what the fact at an index makes, if that is known already
   * @throws the driver's error where the log or a row cannot be read
   */
  apply(after: number, limit: number, known: Known, unstorable?: Unstorable): Promise<Applied>;
}

const PREFETCH_ROUNDS = 3;
const WHY_MOST = 500;

/** What Postgres says of values that do not fit or a key that is there twice: the fact's fault, not the connection's. */
export const isFaultOfFact = (error: unknown) =>
  error instanceof BrokenRows || /^(2[123]|54)/.test(codeOf(error) ?? '');

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

interface Batch extends Known {
  readonly setAside: SetAsideNow[];
}

/** @param load brings the rows of `needs`, as they are before the batch; those that are not there become known to be absent */
export function createApplier(
  projection: Projection,
  log: LogReader,
  load: (needs: readonly Need[], rows: BatchRows) => Promise<void>,
): Applier {
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
      for (const [i, { event }] of entries.entries()) {
        await turnBefore(i);
        for (const one of event ? rows.missing(projection.needs(event, rows)) : []) {
          wanted.set(JSON.stringify([one.table.name, one.key]), one);
        }
      }
      if (wanted.size === 0) return;
      await load([...wanted.values()], rows);
    }
  }

  /** Rows that must be loaded first: then nothing was changed. Or why the fact cannot be applied. */
  type Tried = { readonly missing: readonly Need[] } | { readonly why: string | undefined };

  function change(event: SequencedEvent, rows: BatchRows, unstorable: Unstorable): Tried {
    try {
      const missing = rows.missing(projection.needs(event, rows));
      if (missing.length > 0) return { missing };
      const changes = projection.project(event, rows);
      const why = unstorable(event.logIndex);
      if (why === undefined) rows.apply(changes, event.logIndex);
      return { why };
    } catch (error) {
      return { why: messageOf(error) };
    }
  }

  /**
   * Nothing here waits: most facts find their rows in memory.
   *
   * @param fault why the fact cannot be read, or its rows cannot
   * @returns rows that must be loaded first; undefined: it is behind us
   */
  function take(
    entry: Entry,
    now: Batch,
    unstorable: Unstorable,
    fault: string | undefined,
  ): readonly Need[] | undefined {
    const { logIndex, about, event } = entry;
    const { rows, subjects, setAside } = now;
    const subject = projection.subjectOf ? projection.subjectOf(about, rows) : about.stream;
    // An unreadable fact of another read model, or one that this one would not have looked at.
    if (subject === undefined && !event) return undefined;
    const since = subject === undefined ? undefined : subjects.get(subject);
    let why = since === undefined ? fault : `its subject is set aside since ${since}`;
    if (why === undefined && event) {
      const tried = change(event, rows, unstorable);
      if ('missing' in tried) return tried.missing;
      why = tried.why;
    }
    if (why === undefined) return undefined;
    const row = { subject: subject ?? about.stream, type: about.type, why: cutText(printable(why), WHY_MOST) };
    if (since === undefined) subjects.set(row.subject, logIndex);
    rows.apply([add(setAsideRows, row)], logIndex);
    setAside.push({ subject: row.subject, first: since ?? logIndex, isFirst: since === undefined, why: row.why });
    return undefined;
  }

  async function takeLoading(entry: Entry, now: Batch, unstorable: Unstorable): Promise<void> {
    let fault = entry.why;
    for (;;) {
      const missing = take(entry, now, unstorable, fault);
      if (!missing) return;
      try {
        await load(missing, now.rows);
      } catch (error) {
        if (!isFaultOfFact(error)) throw error;
        fault = messageOf(error);
      }
    }
  }

  return {
    async apply(after, limit, known, unstorable = () => undefined) {
      const now: Batch = { ...known, setAside: [] };
      const { setAside } = now;
      const entries = await read(after, limit);
      // What goes wrong here is met again below, at its own fact.
      await prefetch(entries, now.rows).catch(() => undefined);
      let position = after;
      for (const [i, entry] of entries.entries()) {
        await turnBefore(i);
        if (entry.logIndex !== position + 1) return { position, count: position - after, setAside, gap: position + 1 };
        const subject = now.rows.missing(projection.subjectNeeds?.(entry.about) ?? []);
        if (subject.length > 0) await load(subject, now.rows);
        if (take(entry, now, unstorable, entry.why)) await takeLoading(entry, now, unstorable);
        position = entry.logIndex;
      }
      return { position, count: position - after, setAside, gap: undefined };
    },
  };
}
