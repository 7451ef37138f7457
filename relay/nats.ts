/**
 * Log → JetStream. NATS is a doorbell: what it loses or repeats, consumers see by the log index and read from Postgres.
 *
 * Progress is the stream itself. One awaited publish at a time, each expecting the sequence of the one before: a crash before
 * the publish loses nothing, a crash after it is seen in the tail, and a late twin is refused by the server (10071).
 */
import { jetstream } from '@nats-io/jetstream';
import { connect, headers, type MsgHdrs, type NatsConnection } from 'nats';
import { createBell, type Bell } from '../store/bell.ts';
import type { Session } from '../store/connect.ts';
import { lead, type Logger } from '../store/leader.ts';
import { pause } from '../store/pause.ts';
import { within } from '../store/within.ts';
import type { PostgresEventStore } from '../store/log/postgresEventStore.ts';
import type { RawEvent } from '../store/log/rows.ts';
import { cloudEventAttributes, headerValue } from './cloudEvent.ts';
import { readTail, saveTail, type Tail } from './natsTail.ts';
import { ALL_SUBJECTS, factSubject, LOG_INDEX_HEADER, STREAM, STREAM_VERSION_HEADER } from './subjects.ts';

const PAGE = 500;
const IDLE_POLL_MS = 1_000;
const RETRY_MS = 500;
const CALL_MS = 5_000;
/** We connect anew ourselves. A server that has vanished closes nothing; the third ping without an answer ends the connection. */
const CONNECTION = { reconnect: false, timeout: 2_000, pingInterval: 2_000, maxPingOut: 2 };

export interface NatsRelayOptions {
  readonly log: Pick<PostgresEventStore, 'readRawLog' | 'head'>;
  /** As `edgeml_app`, direct: its session holds the leader's lock. */
  readonly connectionString: string;
  readonly natsUrl: string;
  readonly signal: AbortSignal;
  readonly logger: Logger;
  /** CloudEvents `source`: the public URL of this installation. */
  readonly source?: string;
  /** Told after each acknowledged publish. */
  readonly onPublish?: (logIndex: number) => void;
}

function headersOf(event: RawEvent, logIndex: number, source: string): MsgHdrs {
  const attributes = cloudEventAttributes(
    {
      eventId: event.event_id,
      stream: event.stream_id,
      type: event.type,
      schemaVersion: event.schema_version,
      actor: { kind: event.actor_kind, id: event.actor_id },
      correlationId: event.correlation_id,
      causationId: event.causation_id,
      recordedAt: event.recorded_at.toISOString(),
      logIndex,
    },
    source,
  );
  const h = headers();
  for (const [name, value] of Object.entries(attributes)) h.set(`ce-${name}`, headerValue(value));
  h.set('Content-Type', 'application/json');
  h.set(LOG_INDEX_HEADER, String(logIndex));
  h.set(STREAM_VERSION_HEADER, String(event.stream_version));
  return h;
}

/** Publishes from the tail on until something fails, which it throws; the caller reads the tail again. */
async function follow(
  nc: NatsConnection,
  session: Session,
  signal: AbortSignal,
  bell: Bell,
  options: NatsRelayOptions,
) {
  const { log, source = '/edgeml', onPublish } = options;
  const js = jetstream(nc, { timeout: CALL_MS });
  let tail: Tail = await readTail(nc, session.client, log.head);
  let saved: Tail | undefined;
  while (!signal.aborted) {
    const rows = await log.readRawLog(tail.logIndex, PAGE);
    for (const { log_index, event } of rows) {
      if (signal.aborted) return;
      if (!event) throw new Error(`log index ${log_index} has no event; run \`edgeml audit verify\``);
      const ack = await js.publish(factSubject(event.stream_id, event.type), event.data, {
        msgID: event.event_id,
        headers: headersOf(event, log_index, source),
        expect: { streamName: STREAM, lastSequence: tail.sequence },
      });
      // A duplicate with the next sequence is our own publish, whose answer was lost.
      if (ack.seq !== tail.sequence + 1)
        throw new Error(`the stream answered sequence ${ack.seq}, expected ${tail.sequence + 1}`);
      tail = { ...tail, sequence: ack.seq, logIndex: log_index };
      onPublish?.(log_index);
    }
    if (rows.length === PAGE) continue;
    if (saved?.sequence !== tail.sequence) await saveTail(session.client, (saved = tail));
    await bell.wait(IDLE_POLL_MS, signal);
  }
}

/**
 * Relays until `signal` aborts; never throws. One process leads. While NATS is away it tries twice a second and says so once;
 * a stream that was deleted is made again.
 */
export function runNatsRelay(options: NatsRelayOptions): Promise<void> {
  const { connectionString, natsUrl, signal, logger } = options;
  return lead({ connectionString, name: 'nats relay', signal, logger }, async (session, until) => {
    const bell = createBell();
    session.client.on('notification', () => bell.ring());
    await session.client.query('LISTEN edgeml_log');
    let complained = '';
    while (!until.aborted) {
      let nc: NatsConnection | undefined;
      try {
        nc = await connect({ ...CONNECTION, servers: natsUrl, name: 'edgeml relay' });
        const closed = new AbortController();
        void nc.closed().then(() => closed.abort());
        await follow(nc, session, AbortSignal.any([until, closed.signal]), bell, {
          ...options,
          onPublish: (index) => {
            complained = '';
            options.onPublish?.(index);
          },
        });
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error);
        if (why !== complained)
          logger.warn({ loop: 'nats relay', why }, 'publishing stopped; reading the tail of the stream again');
        complained = why;
        await pause(RETRY_MS, until);
      } finally {
        await nc?.close().catch(() => undefined);
      }
    }
  });
}

/**
 * Calls `onBell` for every fact that NATS tells, and once at each (re)connection, since rings may have been missed. Runs until
 * `signal` aborts and never throws: without NATS nothing rings, and the caller polls Postgres each second.
 */
export async function subscribeDoorbell(options: {
  readonly natsUrl: string;
  readonly signal: AbortSignal;
  readonly onBell: () => void;
}): Promise<void> {
  const { natsUrl, signal, onBell } = options;
  while (!signal.aborted) {
    let nc: NatsConnection | undefined;
    try {
      nc = await connect({ ...CONNECTION, servers: natsUrl, name: 'edgeml doorbell' });
      nc.subscribe(ALL_SUBJECTS, { callback: () => onBell() });
      await within(CALL_MS, 'NATS', nc.flush());
      onBell();
      const closed = new AbortController();
      void nc.closed().then(() => closed.abort());
      await pause(2 ** 31 - 1, AbortSignal.any([signal, closed.signal]));
    } catch {
      // no server: the pause below, then again
    }
    await nc?.close().catch(() => undefined);
    await pause(RETRY_MS, signal);
  }
}
