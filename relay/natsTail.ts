/** The JetStream stream of facts: made if it is missing, and asked where it ends. */
import {
  DiscardPolicy,
  JetStreamApiError,
  jetstreamManager,
  RetentionPolicy,
  StorageType,
  type JetStreamManager,
} from '@nats-io/jetstream';
import { nanos, type NatsConnection } from 'nats';
import type { Client } from '../store/connect.ts';
import { ALL_SUBJECTS, LOG_INDEX_HEADER, STREAM } from './subjects.ts';

const DAY_MS = 86_400_000;
const STREAM_NOT_FOUND = 10_059;
const FOLLOWER = 'nats';
/** How much of the log a new stream is given; older facts are read from Postgres. */
const HISTORY = 10_000;
const LOOK_BACK = 1_000;
/** What `msgID` of a publish becomes. */
const ID_HEADER = 'Nats-Msg-Id';

export interface Tail {
  readonly created: string;
  /** Sequence of the stream's last message, which the next publish expects. */
  readonly sequence: number;
  /** Log index of that message: go on after it. */
  readonly logIndex: number;
}

async function streamInfo(jsm: JetStreamManager) {
  try {
    return await jsm.streams.info(STREAM);
  } catch (error) {
    if (!(error instanceof JetStreamApiError) || error.code !== STREAM_NOT_FOUND) throw error;
    return jsm.streams.add({
      name: STREAM,
      description: 'Facts of EdgeML Lifecycle in log order; a notification, Postgres is the truth',
      subjects: [ALL_SUBJECTS],
      storage: StorageType.File,
      retention: RetentionPolicy.Limits,
      discard: DiscardPolicy.Old,
      max_age: nanos(7 * DAY_MS),
      duplicate_window: nanos(120_000),
      deny_delete: true,
      deny_purge: true,
      allow_direct: true,
      num_replicas: 1,
    });
  }
}

interface LastMessage {
  readonly index: number;
  /** Event id. */
  readonly event: string;
}

/** The last message that is ours; a stranger's message on our subjects is passed over. */
async function lastMessage(jsm: JetStreamManager, last: number, first: number): Promise<LastMessage | undefined> {
  for (let seq = last; seq >= Math.max(first, last - LOOK_BACK); seq -= 1) {
    const header = (await jsm.streams.getMessage(STREAM, { seq }))?.header;
    const text = header?.get(LOG_INDEX_HEADER);
    if (header && text && /^\d+$/.test(text)) return { index: Number(text), event: header.get(ID_HEADER) };
  }
  return undefined;
}

/** False where the log was restored to an earlier moment: the index is free again, or belongs to another fact. */
async function isInLog(db: Client, { index, event }: LastMessage): Promise<boolean> {
  const { rows } = await db.query<{ event_id: string }>(
    'SELECT e.event_id FROM store.log l JOIN store.events e USING (position) WHERE l.log_index = $1',
    [index],
  );
  return rows[0]?.event_id === event;
}

/** Where we stood when everything was told: used only where the messages themselves have aged out. */
export async function saveTail(db: Client, tail: Tail): Promise<void> {
  await db.query(
    `INSERT INTO store.followers AS f (name, log_index, note) VALUES ($1, $2, $3)
     ON CONFLICT (name) DO UPDATE SET log_index = excluded.log_index, note = excluded.note`,
    [FOLLOWER, tail.logIndex, { created: tail.created, sequence: tail.sequence }],
  );
}

async function savedIndex(db: Client, created: string, sequence: number): Promise<number | undefined> {
  const { rows } = await db.query<{ log_index: number }>(
    `SELECT log_index FROM store.followers WHERE name = $1 AND note->>'created' = $2 AND (note->>'sequence')::bigint = $3`,
    [FOLLOWER, created, sequence],
  );
  return rows[0]?.log_index;
}

/**
 * Where to go on: after the stream's own last message. A stream that is new, re-created or of unknown age starts at most
 * 10,000 facts before `head`; consumers drop what they have. A stream whose last message is no fact of this log is made anew: the log
 * was restored to an earlier moment, and its indexes are given out again.
 *
 * @throws the NATS client's error if the server does not answer
 */
export async function readTail(nc: NatsConnection, db: Client, head: () => Promise<number>): Promise<Tail> {
  const jsm = await jetstreamManager(nc);
  let { created, state } = await streamInfo(jsm);
  let last = state.messages > 0 ? await lastMessage(jsm, state.last_seq, state.first_seq) : undefined;
  if (last && !(await isInLog(db, last))) {
    await jsm.streams.delete(STREAM);
    ({ created, state } = await streamInfo(jsm));
    last = undefined;
  }
  const index =
    last?.index ??
    (state.last_seq > 0 ? await savedIndex(db, created, state.last_seq) : undefined) ??
    Math.max(0, (await head()) - HISTORY) - 1;
  return { created, sequence: state.last_seq, logIndex: index };
}
