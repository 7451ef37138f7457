/**
 * What each device's question is answered from: the pointers of the models that are asked for, in memory. A model's pointer is read
 * when it is first asked for: the read model gives most of it, and the model's own facts beyond that give the rest, so nothing waits
 * for a read model to be filled, or for others' facts. From then on the tail of the log keeps it current, so a stop reaches devices
 * whether or not anybody fills the read model.
 */
import type { ModelId } from '../domain/brands.ts';
import { Kysely, PostgresDialect } from 'kysely';
import type { OrgId } from '../domain/org.ts';
import type { Pointer } from '../domain/rollout/pointer.ts';
import { parseStream } from '../domain/events/streams.ts';
import { createWakeUp } from '../store/wakeUp.ts';
import { createPool } from '../store/connect.ts';
import type { Logger } from '../store/leader.ts';
import type { LogDatabase } from '../store/log/tables.ts';
import { pause } from '../store/pause.ts';
import { readPointersCheckpoint, readPointer, readPointerFacts } from './pointers/query.ts';
import { createPointers, followTail, LogGap, unknownPointer, type HeldPointer } from './pointerTail.ts';
import type { OnGrowth } from './runner.ts';

export interface PointerTableOptions {
  readonly connectionString: string;
  readonly onGrowth?: OnGrowth;
  readonly signal: AbortSignal;
  readonly logger: Logger;
  /** Nothing is read before. */
  readonly after?: Promise<unknown> | undefined;
  /** Models held in memory; the least recently asked makes room. */
  readonly most?: number;
}

export interface KnownPointer {
  readonly pointer: Pointer;
  /** Log index of the first fact that the pointer misses; undefined: it misses none. */
  readonly missesSince: number | undefined;
}

export interface PointerTable {
  /**
   * The pointer as of `position` or later; undefined for a model that the organisation has not registered.
   *
   * @throws the driver's error where it is not in memory and Postgres does not answer
   */
  get(orgId: OrgId, modelId: ModelId): Promise<KnownPointer | undefined>;
  /** Log index up to which every pointer that is told holds every fact; -1 before the first poll. */
  readonly position: number;
  /**
   * The database's time, from the offset of the last look; never backwards. Ramps are judged by it, so that two servers with
   * different clocks tell one device one version.
   */
  now(): Date;
  /** Milliseconds since the table last stood at the head of the log: how stale an answer may be. No end before the first poll. */
  ageMs(): number;
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
const MOST = 20_000;
const DECODED_AT_ONCE = 500;

/**
 * Begins to follow the log at its head: when notified and each second. Waits for nothing; until the first poll has ended, and while
 * Postgres is away or the log has a gap, `ageMs` says that answers may be out of date.
 */
export function createPointerTable(options: PointerTableOptions): PointerTable {
  const { connectionString, onGrowth, signal, logger, after, most = MOST } = options;
  const pool = createPool({ connectionString, max: 3, name: 'pointers', waits: 'question' });
  const log = new Kysely<LogDatabase>({ dialect: new PostgresDialect({ pool }) });
  const held = createPointers(most);
  const reading = new Map<string, Promise<HeldPointer>>();
  let position = -1;
  let isAtStart = true;
  let build: string | undefined;
  /** Rises when what is held, or read, may be of a filling that a rebuild has put right. */
  let generation = 0;
  let modelAt = -1;
  // Database time minus our monotonic clock; before the first poll our wall clock stands in.
  let offsetMs = Date.now() - performance.now();
  let latestMs = 0;
  let polledAt = Number.NEGATIVE_INFINITY;
  let looking: Promise<void> | undefined;

  /** Where the log and the read model are; forgets what another filling, or a row that was set aside, makes doubtful. */
  async function readPlaces(): Promise<void> {
    const asked = performance.now();
    const { now, head, model } = await readPointersCheckpoint(pool, modelAt);
    // The answer was on its way for up to half the round trip; the middle is the best guess.
    offsetMs = now.getTime() - (asked + performance.now()) / 2;
    if (isAtStart) position = head;
    isAtStart = false;
    if (!model) return;
    if (model.build !== build) {
      generation += 1;
      held.clear();
    } else {
      for (const subject of model.setAside) {
        const parsed = parseStream(subject);
        if (parsed?.kind === 'model') held.drop(parsed.modelId);
      }
    }
    build = model.build;
    modelAt = model.position;
    if (model.stoppedAt !== null) throw new LogGap(model.stoppedAt);
  }

  async function look(): Promise<void> {
    const asked = performance.now();
    await readPlaces();
    await followTail(log, position, (logIndex, row) => {
      position = logIndex;
      if (row) held.apply(row);
    });
    polledAt = asked;
  }
  const refresh = () => (looking ??= look().finally(() => (looking = undefined)));

  /** The row of the read model and the model's facts after it: complete up to `from`, and maybe further. */
  async function readOne(modelId: ModelId, from: number): Promise<HeldPointer> {
    const stored = await readPointer(pool, modelId);
    if (stored && (stored.missesSince !== undefined || stored.position >= from)) return stored;
    const one = createPointers(1);
    one.hold(modelId, stored ?? unknownPointer());
    const facts = await readPointerFacts(pool, modelId, stored?.position ?? -1);
    for (const [i, row] of facts.entries()) {
      if (i > 0 && i % DECODED_AT_ONCE === 0) await new Promise(setImmediate);
      one.apply(row);
    }
    return one.get(modelId)!;
  }

  async function read(modelId: ModelId): Promise<HeldPointer> {
    const [began, from] = [generation, position];
    const besideTail = held.begin();
    try {
      let found = await readOne(modelId, from);
      if (generation !== began) found = await readOne(modelId, from);
      if (!found.pointer) return found; // whoever asks for what is not there costs no memory
      besideTail.hold(modelId, found);
      return held.get(modelId) ?? found;
    } finally {
      besideTail.end();
    }
  }

  function readShared(modelId: ModelId): Promise<HeldPointer> {
    const same = reading.get(modelId);
    if (same) return same;
    const answer = read(modelId).finally(() => reading.delete(modelId));
    reading.set(modelId, answer);
    return answer;
  }

  const wakeUp = createWakeUp();
  const unsubscribe = onGrowth?.((logIndex) => {
    if (logIndex === undefined || logIndex > position) wakeUp.wake();
  });

  async function follow(): Promise<void> {
    await after;
    while (!signal.aborted) {
      try {
        await refresh();
      } catch (error) {
        logger.warn({ err: error, age_ms: Math.round(performance.now() - polledAt) }, 'the pointers could not be read');
        await pause(RETRY_MS, signal);
      }
      await wakeUp.wait(POLL_MS, signal);
    }
  }
  const done = follow().finally(async () => {
    unsubscribe?.();
    await pool.end();
  });

  return {
    async get(orgId, modelId) {
      if (isAtStart) {
        // Where the tail begins must be known before anything is read, or facts in between would be missed.
        await refresh().catch((error: unknown) => {
          if (isAtStart) throw error;
        });
      }
      const { pointer, missesSince } = held.get(modelId) ?? (await readShared(modelId));
      return pointer?.org_id === orgId ? { pointer, missesSince } : undefined;
    },
    get position() {
      return position;
    },
    now: () => new Date((latestMs = Math.max(latestMs, Math.round(performance.now() + offsetMs)))),
    ageMs: () => performance.now() - polledAt,
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
