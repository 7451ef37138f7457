/**
 * What devices were told, on its way to the database: written in batches, at most a second after the answer. A process that is killed loses
 * that second of marks and nothing else. While Postgres is away marks wait.
 */
import type { ModelId, Semver } from '../../domain/brands.ts';
import { randomInt } from 'node:crypto';
import type { Watch } from '../../domain/rollout/verdict/index.ts';
import type { Queryable } from '../queryable.ts';
import { openSilence } from '../telemetry/openSilence.ts';
import { SHARDS } from '../telemetry/recordReports.ts';

export interface ToldMark {
  readonly deviceId: string;
  readonly modelId: ModelId;
  readonly version: Semver;
  /** The database's time. */
  readonly at: Date;
  /** Where its rollout is judged by evidence and the device is watched for silence. */
  readonly watch?: Watch | undefined;
}

export interface ToldMarks {
  /** Waits for nothing. */
  note(mark: ToldMark): void;
  /** Writes what waits. @throws the driver's error; what was not written waits on */
  flush(): Promise<void>;
  /** Writes what waits, once, and ends. Never throws. */
  close(): Promise<void>;
}

const FLUSH_MS = 500;
const RETRY_MS = 1_000;
const MOST_AT_ONCE = 2_000;
const MOST_WAITING = 200_000;

/**
 * @param on as `edgeml_app`
 * @param onLost told of marks that found no place while Postgres was away: whoever asks again is marked again
 */
export function createToldMarks(on: Queryable, onLost: (mark: ToldMark) => void): ToldMarks {
  const shard = randomInt(SHARDS);
  let waiting: ToldMark[] = [];
  let timer: NodeJS.Timeout | undefined;
  let writing: Promise<void> | undefined;

  async function write(): Promise<void> {
    while (waiting.length > 0) {
      const batch = waiting.slice(0, MOST_AT_ONCE);
      waiting = waiting.slice(batch.length);
      try {
        await on.query('SELECT ops.record_told($1, $2, $3, $4)', [
          batch.map((mark) => mark.deviceId),
          batch.map((mark) => mark.modelId),
          batch.map((mark) => mark.version),
          batch.map((mark) => mark.at),
        ]);
        // A process that dies here leaves devices that nobody watches for silence, until they ask another one.
        await openSilence(
          on,
          batch.flatMap(({ deviceId, at, watch }) => (watch ? [{ deviceId, at, watch }] : [])),
          shard,
        );
      } catch (error) {
        waiting = [...batch, ...waiting];
        for (const lost of waiting.splice(0, Math.max(0, waiting.length - MOST_WAITING))) onLost(lost);
        throw error;
      }
    }
  }
  const flush = () => (writing ??= write().finally(() => (writing = undefined)));

  function plan(ms: number): void {
    timer ??= setTimeout(() => {
      timer = undefined;
      flush().catch(() => plan(RETRY_MS));
    }, ms);
  }

  return {
    note(mark) {
      waiting.push(mark);
      plan(FLUSH_MS);
    },
    flush,
    async close() {
      clearTimeout(timer);
      await flush().catch(() => undefined);
      clearTimeout(timer);
    },
  };
}
