/** The pointer of every model in memory: what each device's question is answered from. */
import { Kysely, PostgresDialect } from 'kysely';
import type { Pointer } from '../domain/rollout/pointer.ts';
import { createBell } from '../store/bell.ts';
import { codeOf, createPool } from '../store/connect.ts';
import type { Logger } from '../store/leader.ts';
import { pause } from '../store/pause.ts';
import type { ReadTables } from './database.ts';
import { readPointers } from './pointers/query.ts';
import type { Doorbell } from './runner.ts';

export interface PointerTableOptions {
  readonly connectionString: string;
  readonly doorbell?: Doorbell;
  readonly signal: AbortSignal;
  readonly logger: Logger;
}

export interface PointerTable {
  /** The pointer as of `position`; undefined for a model that is not registered. */
  get(modelId: string): Pointer | undefined;
  all(): IterableIterator<Pointer>;
  /** Log index up to which the table holds every fact; -1 before the first look. */
  readonly position: number;
  /**
   * The database's time, from the offset of the last look; never backwards. Ramps are judged by it, so that two servers with
   * different clocks tell one device one version.
   */
  now(): Date;
  /** Milliseconds since Postgres last said that this is all: how stale an answer may be. */
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
/** The bell rings when the log grew; the projection needs some milliseconds more. */
const QUICK_MS = 10;
const QUICK_LOOKS = 30;

const isNotThereYet = (error: unknown) => ['42P01', '3F000'].includes(codeOf(error) ?? '');

/**
 * Loads all pointers, then follows: on the bell and each second. While Postgres is away it answers what it has, and `ageMs` grows.
 *
 * @throws the driver's error if the first look fails; a read model that is not filled yet counts as empty
 */
export async function createPointerTable(options: PointerTableOptions): Promise<PointerTable> {
  const { connectionString, doorbell, signal, logger } = options;
  const db = new Kysely<ReadTables>({
    dialect: new PostgresDialect({ pool: createPool({ connectionString, max: 2, name: 'pointers' }) }),
  });
  const table = new Map<string, Pointer>();
  const listeners = new Set<(changed: readonly Pointer[], position: number) => void>();
  let position = -1;
  // Database time minus our monotonic clock; before the first look our wall clock stands in.
  let offsetMs = Date.now() - performance.now();
  let latestMs = 0;
  let lookedAt = performance.now();
  let looking: Promise<void> | undefined;

  async function look(): Promise<void> {
    const asked = performance.now();
    const found = await readPointers(db, position).catch((error: unknown) => {
      if (isNotThereYet(error)) return undefined;
      throw error;
    });
    lookedAt = asked;
    // The answer was on its way for up to half the round trip; the middle is the best guess.
    if (found) offsetMs = found.nowMs - (asked + performance.now()) / 2;
    if (!found || found.position < position) return; // a read model that begins anew: what we have is newer
    for (const row of found.rows) table.set(row.model_id, row.pointer);
    position = found.position;
    if (found.rows.length === 0) return;
    const changed = found.rows.map((row) => row.pointer);
    for (const listener of listeners) listener(changed, position);
  }
  const refresh = () => (looking ??= look().finally(() => (looking = undefined)));

  const bell = createBell();
  const unsubscribe = doorbell?.(() => bell.ring());

  async function quickLooks(): Promise<void> {
    const before = position;
    for (let i = 0; i < QUICK_LOOKS && position === before && !signal.aborted; i += 1) {
      await refresh();
      if (position === before) await pause(QUICK_MS, signal);
    }
  }

  async function follow(): Promise<void> {
    while (!signal.aborted) {
      const rang = await bell.wait(POLL_MS, signal);
      if (signal.aborted) break;
      try {
        await (rang ? quickLooks() : refresh());
      } catch (error) {
        logger.warn({ err: error, age_ms: Math.round(performance.now() - lookedAt) }, 'the pointers could not be read');
        await pause(QUICK_MS * 10, signal);
      }
    }
  }

  try {
    await refresh();
  } catch (error) {
    unsubscribe?.();
    await db.destroy();
    throw error;
  }
  const done = follow().finally(async () => {
    unsubscribe?.();
    await db.destroy();
  });

  return {
    get: (modelId) => table.get(modelId),
    all: () => table.values(),
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
        if (position < logIndex) await pause(QUICK_MS, signal);
      }
      return true;
    },
    refresh,
    done,
  };
}
