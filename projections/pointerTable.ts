/**
 * The pointer of every model in memory: what each device's question is answered from. The read model gives most of it at once;
 * the rest comes from the log itself, so a stop reaches devices whether or not anybody fills the read model.
 */
import type { OrgId } from '../domain/org.ts';
import { Kysely, PostgresDialect, sql } from 'kysely';
import type { Pointer } from '../domain/rollout/pointer.ts';
import { createBell } from '../store/bell.ts';
import { codeOf, createPool } from '../store/connect.ts';
import type { Logger } from '../store/leader.ts';
import type { LogDatabase } from '../store/log/tables.ts';
import { pause } from '../store/pause.ts';
import type { ReadTables } from './database.ts';
import { readPointers } from './pointers/query.ts';
import { modelStream } from '../domain/events/streams.ts';
import { applyTail, createPointers, LogGap } from './pointerTail.ts';
import type { Doorbell } from './runner.ts';

export interface PointerTableOptions {
  readonly connectionString: string;
  readonly doorbell?: Doorbell;
  readonly signal: AbortSignal;
  readonly logger: Logger;
}

export interface PointerTable {
  /** The pointer as of `position`; undefined for a model that the organisation has not registered. */
  get(orgId: OrgId, modelId: string): Pointer | undefined;
  /** Log index of the first fact that the model's pointer misses, for a model of the organisation; undefined: it misses none. */
  missesSince(orgId: OrgId, modelId: string): number | undefined;
  all(): IterableIterator<Pointer>;
  /** Log index up to which the table holds every fact; -1 before the first look. */
  readonly position: number;
  /**
   * The database's time, from the offset of the last look; never backwards. Ramps are judged by it, so that two servers with
   * different clocks tell one device one version.
   */
  now(): Date;
  /** Milliseconds since the table last stood at the head of the log: how stale an answer may be. */
  ageMs(): number;
  /** Told after each change, with the pointers that changed. Answers an unsubscribe. */
  onChange(listener: (changed: readonly Pointer[], position: number) => void): () => void;
  /** Resolves once the table is at least there; false after `timeoutMs`. */
  waitFor(logIndex: number, timeoutMs: number): Promise<boolean>;
  /** Looks now. @throws the driver's error */
  refresh(): Promise<void>;
  /** Resolves after `signal` has aborted and the connections are closed. Never rejects. */
  readonly done: Promise<void>;
}

const POLL_MS = 1_000;
const RETRY_MS = 100;
const WAIT_MS = 10;

const isNotThereYet = (error: unknown) => ['42P01', '3F000'].includes(codeOf(error) ?? '');

/**
 * Loads all pointers, then follows: on the bell and each second. While Postgres is away, and before a gap in the log,
 * it answers what it has, and `ageMs` grows.
 *
 * @throws the driver's error if Postgres does not answer the first look
 */
export async function createPointerTable(options: PointerTableOptions): Promise<PointerTable> {
  const { connectionString, doorbell, signal, logger } = options;
  const dialect = new PostgresDialect({
    pool: createPool({ connectionString, max: 2, name: 'pointers', waits: 'question' }),
  });
  const db = new Kysely<ReadTables>({ dialect });
  const log = new Kysely<LogDatabase>({ dialect }); // shares the pool, which `db` ends
  const table = createPointers();
  const listeners = new Set<(changed: readonly Pointer[], position: number) => void>();
  let position = -1;
  let build: string | undefined;
  // Database time minus our monotonic clock; before the first look our wall clock stands in.
  let offsetMs = Date.now() - performance.now();
  let latestMs = 0;
  let lookedAt = Number.NEGATIVE_INFINITY;
  let looking: Promise<void> | undefined;

  const readFrom = (since: number) =>
    readPointers(db, since).catch((error: unknown) => {
      if (isNotThereYet(error)) return undefined;
      throw error;
    });

  /** What the read model has beyond us. One that is not there, or begins anew, has nothing. */
  async function readModel(changed: Map<string, Pointer>): Promise<void> {
    const asked = performance.now();
    let found = await readFrom(position);
    // Another filling may have put right what was set aside, or altered, at any place.
    if (found && found.build !== build && found.position >= position) found = await readFrom(-1);
    const nowMs =
      found?.nowMs ?? (await sql<{ now: Date }>`SELECT clock_timestamp() AS now`.execute(db)).rows[0]!.now.getTime();
    // The answer was on its way for up to half the round trip; the middle is the best guess.
    offsetMs = nowMs - (asked + performance.now()) / 2;
    if (!found || (found.build === build ? found.position <= position : found.position < position)) return;
    // The first look, and the look at another filling, read all of it.
    if (found.build !== build) table.memory.clear();
    build = found.build;
    table.setAside.clear();
    for (const [subject, first] of found.setAside) table.setAside.set(subject, first);
    for (const one of found.news) table.memory.learn(one);
    for (const pointer of found.pointers) {
      table.set(pointer);
      changed.set(pointer.model_id, pointer);
    }
    position = found.position;
  }

  async function look(): Promise<void> {
    const asked = performance.now();
    const changed = new Map<string, Pointer>();
    try {
      await readModel(changed);
      await applyTail(log, table, position, (logIndex, pointer) => {
        position = logIndex;
        if (pointer) changed.set(pointer.model_id, pointer);
      });
      lookedAt = asked;
    } finally {
      if (changed.size > 0) for (const listener of listeners) listener([...changed.values()], position);
    }
  }
  const refresh = () => (looking ??= look().finally(() => (looking = undefined)));

  const bell = createBell();
  const unsubscribe = doorbell?.(() => bell.ring());

  async function follow(): Promise<void> {
    while (!signal.aborted) {
      await bell.wait(POLL_MS, signal);
      if (signal.aborted) break;
      try {
        await refresh();
      } catch (error) {
        logger.warn({ err: error, age_ms: Math.round(performance.now() - lookedAt) }, 'the pointers could not be read');
        await pause(RETRY_MS, signal);
      }
    }
  }

  try {
    await refresh();
  } catch (error) {
    // Over a log with a gap, stops must work all the same; devices are told nothing, since `ageMs` has no end.
    if (!(error instanceof LogGap)) {
      unsubscribe?.();
      await db.destroy();
      throw error;
    }
  }
  const done = follow().finally(async () => {
    unsubscribe?.();
    await db.destroy();
  });

  return {
    get(orgId, modelId) {
      const pointer = table.get(modelId);
      return pointer?.org_id === orgId ? pointer : undefined;
    },
    missesSince: (orgId, modelId) =>
      table.get(modelId)?.org_id === orgId ? table.setAside.get(modelStream(modelId)) : undefined,
    all: () => table.all(),
    get position() {
      return position;
    },
    now: () => new Date((latestMs = Math.max(latestMs, Math.round(performance.now() + offsetMs)))),
    ageMs: () => performance.now() - lookedAt,
    onChange(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    async waitFor(logIndex, timeoutMs) {
      const giveUpAt = performance.now() + timeoutMs;
      while (position < logIndex) {
        if (performance.now() >= giveUpAt || signal.aborted) return false;
        await refresh();
        if (position < logIndex) await pause(WAIT_MS, signal);
      }
      return true;
    },
    refresh,
    done,
  };
}
