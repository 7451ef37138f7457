/**
 * Log → JetStream. NATS only notifies: what it loses or repeats, consumers see by the log index and read from Postgres.
 *
 * Progress is the stream itself. Each publish expects the one before to be the last message, by its sequence and by its id, so many may
 * be on their way: where one is lost or refused, the server refuses all after it, and the tail is read again. The sequence alone would
 * not do: a stranger's message may take the place of the one that was refused. A crash before a publish loses nothing, a crash after
 * it is seen in the tail, and a late twin is refused.
 *
 * Beside the stream a notification says how far it is: one for many facts, for those who only wait for the log to grow.
 */
import { connect, headers, type MsgHdrs, type NatsConnection } from 'nats';
import { createWakeUp, type WakeUp } from '../store/wakeUp.ts';
import type { Session } from '../store/connect.ts';
import { lead, type Logger } from '../store/leader.ts';
import { listen } from '../store/listen.ts';
import { pause } from '../store/pause.ts';
import { retrying } from '../store/retrying.ts';
import { within } from '../store/within.ts';
import type { PostgresEventStore } from '../store/log/postgresEventStore.ts';
import type { RawEvent } from '../store/log/rows.ts';
import { cloudEventAttributes, headerValue } from './cloudEvent.ts';
import { readTail, saveTail, type Tail } from './natsTail.ts';
import { createPublisher, type Publisher } from './publisher.ts';
import { createPublishWindow, type Sent } from './publishWindow.ts';
import { factSubject, LOG_INDEX_HEADER, GROWTH_SUBJECT, STREAM, STREAM_VERSION_HEADER } from './subjects.ts';

const PAGE = 500;
const WINDOW = 200;
/** While there is always more to tell, it notifies and saves its place so often. */
const NOTIFY_MS = 20;
const SAVE_MS = 1_000;
const IDLE_POLL_MS = 1_000;
const RETRY_MS = 500;
const CALL_MS = 5_000;
/** We connect anew ourselves. A server that has vanished closes nothing; the third ping without an answer ends the connection. */
const CONNECTION = { reconnect: false, timeout: 2_000, pingInterval: 2_000, maxPingOut: 2, noAsyncTraces: true };

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
  for (const [name, value] of Object.entries(attributes)) h.append(`ce-${name}`, headerValue(value));
  h.append('Content-Type', 'application/json');
  h.append(LOG_INDEX_HEADER, String(logIndex));
  h.append(STREAM_VERSION_HEADER, String(event.stream_version));
  return h;
}

/** Publishes from the tail on until something fails, which it throws; the caller reads the tail again. */
async function follow(
  nc: NatsConnection,
  publisher: Publisher,
  session: Session,
  signal: AbortSignal,
  wakeUp: WakeUp,
  options: NatsRelayOptions,
) {
  const { log, source = '/edgeml', onPublish } = options;
  // What is acknowledged, and what of it was notified and saved.
  let tail: Tail = await readTail(nc, session.client, log.head);
  let sent: Sent = tail;
  let before: string | undefined;
  let saved: Tail | undefined;
  let notified = tail.logIndex;
  let [savedAt, notifiedAt] = [performance.now(), 0];
  const window = createPublishWindow(WINDOW, (one) => {
    tail = { ...tail, ...one };
    onPublish?.(one.logIndex);
    if (performance.now() - notifiedAt >= NOTIFY_MS) notify();
  });
  function notify(): void {
    if (notified === tail.logIndex) return;
    nc.publish(GROWTH_SUBJECT, String((notified = tail.logIndex)));
    notifiedAt = performance.now();
  }
  async function save(): Promise<void> {
    if (saved?.sequence !== tail.sequence) await saveTail(session.client, (saved = tail));
    savedAt = performance.now();
  }

  while (!signal.aborted) {
    const rows = await log.readRawLog(sent.logIndex, PAGE);
    for (const { log_index, event } of rows) {
      if (signal.aborted) return;
      if (!event) throw new Error(`log index ${log_index} has no event; run \`edgeml audit verify\``);
      const publish = publisher.publish({
        subject: factSubject(event.stream_id, event.type),
        id: event.event_id,
        data: event.data,
        headers: headersOf(event, log_index, source),
        expected: { stream: STREAM, lastSequence: sent.sequence, lastId: before },
      });
      before = event.event_id;
      sent = { sequence: sent.sequence + 1, logIndex: log_index };
      const full = window.add(publish, sent);
      if (full) await full;
    }
    if (rows.length === PAGE) {
      if (performance.now() - savedAt >= SAVE_MS) await save();
      continue;
    }
    await window.drain();
    notify();
    await save();
    await wakeUp.wait(IDLE_POLL_MS, signal);
  }
}

/**
 * Relays until `signal` aborts; never throws. One process leads. While NATS is away it tries twice a second and says so once;
 * a stream that was deleted is made again.
 */
export function runNatsRelay(options: NatsRelayOptions): Promise<void> {
  const { connectionString, natsUrl, signal, logger } = options;
  return lead({ connectionString, name: 'nats relay', signal, logger }, async (session, until) => {
    const wakeUp = createWakeUp();
    await listen(session, 'edgeml_log', wakeUp.wake);
    const message = 'publishing stopped; reading the tail of the stream again';
    const again = { signal: until, logger, everyMs: RETRY_MS, fields: { loop: 'nats relay' }, message };
    while (!until.aborted) {
      await retrying(again, async (works) => {
        const nc = await connect({ ...CONNECTION, servers: natsUrl, name: 'edgeml relay' });
        const publisher = createPublisher(nc, CALL_MS);
        try {
          const closed = new AbortController();
          void nc.closed().then(() => closed.abort());
          const onPublish = (index: number) => {
            works();
            options.onPublish?.(index);
          };
          await follow(nc, publisher, session, AbortSignal.any([until, closed.signal]), wakeUp, {
            ...options,
            onPublish,
          });
        } finally {
          publisher.close();
          await nc.close().catch(() => undefined);
        }
      });
    }
  });
}

/** A stranger may notify as well: what is no index notifies for everything. */
const indexIn = (text: string): number | undefined => (/^\d{1,15}$/.test(text) ? Number(text) : undefined);

/**
 * Calls `onGrowth` with the log index up to which facts were told, and once without at each (re)connection, since notifications may have been
 * missed. One notification may stand for thousands of facts. Runs until `signal` aborts and never throws: without NATS nothing notifies, and the
 * caller polls Postgres each second.
 */
export async function subscribeGrowth(options: {
  readonly natsUrl: string;
  readonly signal: AbortSignal;
  readonly onGrowth: (logIndex?: number) => void;
}): Promise<void> {
  const { natsUrl, signal, onGrowth } = options;
  while (!signal.aborted) {
    let nc: NatsConnection | undefined;
    try {
      nc = await connect({ ...CONNECTION, servers: natsUrl, name: 'edgeml growth' });
      nc.subscribe(GROWTH_SUBJECT, { callback: (_, message) => onGrowth(indexIn(message.string())) });
      await within(CALL_MS, 'NATS', nc.flush());
      onGrowth();
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
