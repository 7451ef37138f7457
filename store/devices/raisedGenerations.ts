/**
 * Which tokens of devices are revoked: the devices whose generation was raised while a token of the one before could still be good.
 * Held in memory, brought by a ring and by a look each half second, so a token is checked without asking the database.
 */
import { createBell } from '../bell.ts';
import { createPool } from '../connect.ts';
import { createListener } from '../listener.ts';

const POLL_MS = 500;
/** Of rows whose statement took long to commit: looked at again. */
const OVERLAP_MS = 30_000;
/** Clocks of servers may differ by this much. */
const SKEW_MS = 3_600_000;

export interface RaisedGenerations {
  /** The generation that a device was raised to; 0 where no token that has not expired can be of an earlier one. */
  of(deviceId: string): number;
  /** Milliseconds since the database was last asked; no end before the first answer. */
  ageMs(): number;
  /** Resolves after the first answer, and at once from then on. @throws the driver's error while there is none */
  known(): Promise<void>;
  /** Tells every server of a raise that is committed. Waits for nobody; a server that does not hear it finds it by itself. */
  ring(): void;
  close(): Promise<void>;
}

export interface RaisedOptions {
  readonly connectionString: string;
  /** How long a token is good, in milliseconds. */
  readonly tokenMs: number;
  /** Nothing is read before. */
  readonly after?: Promise<unknown> | undefined;
}

/** Connects by itself, again and again. The caller closes it. */
export function createRaisedGenerations({ connectionString, tokenMs, after }: RaisedOptions): RaisedGenerations {
  const pool = createPool({ connectionString, max: 1, name: 'revoked tokens', waits: 'question' });
  // Its own: a ring that hangs holds up no look.
  const rings = createPool({ connectionString, max: 1, name: 'revoked tokens ring', waits: 'question' });
  let ringing: Promise<unknown> | undefined;
  const keepMs = tokenMs + SKEW_MS;
  const raised = new Map<string, { readonly generation: number; readonly at: number }>(); // by device, the longest known first
  const bell = createBell();
  const stop = new AbortController();
  /** By the clock of the database: a process that was stopped for a while misses nothing. */
  let since: Date | undefined;
  let lookedAt = Number.NEGATIVE_INFINITY;
  let looking: Promise<void> | undefined;

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
  const lookOnce = () => (looking ??= look().finally(() => (looking = undefined)));

  const listener = createListener(connectionString, {
    channel: 'edgeml_devices',
    name: 'revoked tokens',
    ring: () => bell.ring(),
  });

  async function follow(): Promise<void> {
    await after;
    while (!stop.signal.aborted) {
      await lookOnce().catch(() => undefined); // the next look begins where this one did
      listener.keepConnected();
      await bell.wait(POLL_MS, stop.signal);
    }
  }
  const done = follow();

  return {
    of: (deviceId) => raised.get(deviceId)?.generation ?? 0,
    ageMs: () => performance.now() - lookedAt,
    async known() {
      if (lookedAt === Number.NEGATIVE_INFINITY) await lookOnce();
    },
    ring() {
      bell.ring();
      ringing ??= rings
        .query('NOTIFY edgeml_devices')
        .catch(() => undefined)
        .finally(() => (ringing = undefined));
    },
    async close() {
      stop.abort();
      await done;
      await listener.close();
      await Promise.all([pool.end(), rings.end()]);
    },
  };
}
