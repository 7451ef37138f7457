/** Writes snapshots behind those who fold: late, one after the other, and what fails is lost. */
import type { Pool } from '../connect.ts';
import type { Snapshot } from './snapshot.ts';

/** What a fold leaves to be written. */
export interface Upkeep {
  readonly keep: readonly Snapshot[];
  readonly damaged: readonly { readonly snapshot: Snapshot; readonly why: string }[];
}

export interface SnapshotTable {
  /** Returns at once. */
  tend(upkeep: Upkeep): void;
  /** Resolves when what was given is written or lost. */
  idle(): Promise<void>;
}

interface Log {
  warn(detail: object, message: string): void;
}

/** Also what a build of yesterday kept: two builds side by side leave each other's alone. */
const KEEP = `
  WITH old AS (
    DELETE FROM ops.stream_snapshots WHERE stream_id = $1 AND fold <> $2 AND made_at < clock_timestamp() - interval '1 day')
  INSERT INTO ops.stream_snapshots (stream_id, fold, version, event_id, state, checksum) VALUES ($1, $2, $3, $4, $5, $6)
  ON CONFLICT (stream_id, fold, version) DO UPDATE
    SET event_id = excluded.event_id, state = excluded.state, checksum = excluded.checksum, made_at = clock_timestamp()`;

/** The one that is damaged, and all whose fact the log does not hold: a log that was rewound voids several. */
const DROP = `
  DELETE FROM ops.stream_snapshots s WHERE stream_id = $1 AND fold = $2
     AND (version = $3 AND checksum = $4 OR NOT EXISTS (SELECT FROM store.events e
          WHERE e.stream_id = s.stream_id AND e.stream_version = s.version AND e.event_id = s.event_id))`;

/** @param pool for these writes alone; the caller ends it */
export function createSnapshotTable(pool: Pool, logger: Log | undefined): SnapshotTable {
  /** The newest of each stream that waits: fewer than the streams that are folded meanwhile. */
  const waiting = new Map<string, Snapshot>();
  let work = Promise.resolve();
  const next = (write: () => Promise<unknown>) => {
    work = work.then(write).then(
      () => undefined,
      (error: unknown) => logger?.warn({ error: String(error) }, 'a snapshot was not written'),
    );
  };

  async function keepNext(): Promise<void> {
    const [key, s] = [...waiting][0] ?? [];
    if (key === undefined || s === undefined) return;
    waiting.delete(key);
    await pool.query(KEEP, [s.stream, s.fold, s.version, s.eventId, s.state, s.checksum]);
  }

  return {
    tend({ keep, damaged }) {
      for (const { snapshot, why } of damaged) {
        const { stream, fold, version, checksum } = snapshot;
        logger?.warn({ alarm: 'snapshot_damaged', stream, version, why }, 'ignored, and folded from the first fact');
        next(() => pool.query(DROP, [stream, fold, version, checksum]));
      }
      for (const snapshot of keep) {
        const key = `${snapshot.stream} ${snapshot.fold}`;
        if (!waiting.has(key)) next(keepNext);
        waiting.set(key, snapshot);
      }
    },
    idle: () => work,
  };
}
