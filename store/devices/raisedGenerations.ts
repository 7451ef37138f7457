/**
 * Which tokens of devices are revoked: the devices whose generation was raised while a token of the one before could still be good.
 * Held in memory, brought by a notification and by a poll each half second, so a token is checked without asking the database. While the
 * look fails, the row of each device is asked.
 */
import { createWakeUp } from '../wakeUp.ts';
import { createPool } from '../connect.ts';
import { createListener } from '../listen.ts';

const POLL_MS = 400;
/** What is known is enough for this long after it was asked for; then the row of a device is asked. */
const TRUSTED_MS = 1_000;
const CHANNEL = 'edgeml_device_released';
/** Of rows whose statement took long to commit: looked at again. */
const OVERLAP_MS = 30_000;
/** Clocks of servers may differ by this much. */
const SKEW_MS = 3_600_000;

export interface RaisedGenerations {
  /** Whether a token of this generation, not expired, is good. @throws the driver's error where the row must be asked */
  isCurrent(deviceId: string, generation: number): Promise<boolean>;
  /** Tells every server of a raise that is committed. Waits for nobody; a server that does not hear it finds it by itself. */
  notify(): void;
  close(): Promise<void>;
}

export interface RaisedOptions {
  readonly connectionString: string;
  /** How long a token is good, in milliseconds. */
  readonly tokenMs: number;
  /** The generation in the row of a device; undefined where there is none. */
  readonly stored: (deviceId: string) => Promise<number | undefined>;
  /** Nothing is read before. */
  readonly after?: Promise<unknown> | undefined;
}

/** Connects by itself, again and again. The caller closes it. */
export function createRaisedGenerations(options: RaisedOptions): RaisedGenerations {
  const { connectionString, tokenMs, stored, after } = options;
  const pool = createPool({ connectionString, max: 1, name: 'listen tokens', waits: 'question' });
  // Its own: a notification that hangs holds up no poll.
  const notifies = createPool({ connectionString, max: 1, name: 'listen tokens notify', waits: 'question' });
  let notifying: Promise<unknown> | undefined;
  const keepMs = tokenMs + SKEW_MS;
  const raised = new Map<string, { readonly generation: number; readonly at: number }>(); // by device, the longest known first
  const wakeUp = createWakeUp();
  const stop = new AbortController();
  /** By the clock of the database: a process that was stopped for a while misses nothing. */
  let since: Date | undefined;
  let lookedAt = Number.NEGATIVE_INFINITY;

  async function look(): Promise<void> {
    const asked = performance.now();
    const { rows } = await pool.query<{ now: Date; raised: [id: string, generation: number][] }>(
      `SELECT now() AS now, coalesce(jsonb_agg(jsonb_build_array(id, generation)), '[]') AS raised FROM ops.devices
        WHERE raised_at > coalesce($1::timestamptz, now() - $2 * interval '1 millisecond')`,
      [since ?? null, keepMs],
    );
    const { now, raised: found } = rows[0]!;
    for (const [id, generation] of found) {
      if (raised.get(id)?.generation === generation) continue;
      raised.delete(id);
      raised.set(id, { generation, at: asked });
    }
    for (const [id, { at }] of raised) {
      if (at > asked - keepMs) break;
      raised.delete(id);
    }
    since = new Date(now.getTime() - OVERLAP_MS);
    lookedAt = asked;
  }
  const listener = createListener(connectionString, 'listen tokens', CHANNEL, () => wakeUp.wake());

  async function follow(): Promise<void> {
    await after;
    while (!stop.signal.aborted) {
      listener.keepConnected();
      await look().catch(() => undefined); // the next look begins where this one did
      await wakeUp.wait(POLL_MS, stop.signal);
    }
  }
  const done = follow();

  return {
    async isCurrent(deviceId, generation) {
      const isKnown = performance.now() - lookedAt < TRUSTED_MS;
      return isKnown ? generation >= (raised.get(deviceId)?.generation ?? 0) : generation === (await stored(deviceId));
    },
    notify() {
      wakeUp.wake();
      notifying ??= notifies
        .query(`NOTIFY ${CHANNEL}`)
        .catch(() => undefined)
        .finally(() => (notifying = undefined));
    },
    async close() {
      stop.abort();
      await done;
      await listener.close();
      await Promise.all([pool.end(), notifies.end()]);
    },
  };
}
