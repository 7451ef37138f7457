/** Each fact is told once and in order, through restarts of NATS and of the relay. */
import { jetstream, jetstreamManager, type JetStreamManager } from '@nats-io/jetstream';
import { connect } from 'nats';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { abortedFact, openLog, request, until, type LogFixture } from '../test/support/log.ts';
import { backUp } from '../test/support/published.ts';
import { startNats } from '../test/support/services.ts';
import { runNatsRelay, subscribeGrowth } from './nats.ts';
import { runSequencer } from './sequencer.ts';
import { LOG_INDEX_HEADER, GROWTH_SUBJECT, STREAM, STREAM_VERSION_HEADER } from './subjects.ts';

const logger = { info: () => undefined, warn: () => undefined, error: () => undefined };

let log: LogFixture;
let nats: Awaited<ReturnType<typeof startNats>>;
let stop: AbortController;
let running: Promise<void>[];

beforeEach(async () => {
  log = await openLog();
  nats = await startNats();
  stop = new AbortController();
  running = [runSequencer({ connectionString: log.appUrl, signal: stop.signal, log: logger })];
});
afterEach(async () => {
  stop.abort();
  await Promise.all(running);
  await nats.stop();
  await log.close();
});

const relay = (signal = stop.signal, onPublish: (index: number) => void = () => undefined) =>
  runNatsRelay({ log: log.store, connectionString: log.appUrl, natsUrl: nats.url, signal, logger, onPublish });

async function appendMany(n: number): Promise<void> {
  await Promise.all(
    Array.from({ length: n }, (_, i) => log.store.append(request({ [`rollout-${1 + (i % 9)}`]: 'any' }))),
  );
}

/** Asks JetStream over a connection of its own. */
async function withJetStream<T>(ask: (jsm: JetStreamManager) => Promise<T>): Promise<T> {
  const nc = await connect({ servers: nats.url, timeout: 2_000 });
  try {
    return await ask(await jetstreamManager(nc));
  } finally {
    await nc.close();
  }
}
const streamEnd = () => withJetStream(async (jsm) => (await jsm.streams.info(STREAM)).state.last_seq).catch(() => 0);

/** Log indexes in the order of the stream. */
const told = () =>
  withJetStream(async (jsm) => {
    const { state } = await jsm.streams.info(STREAM);
    const indexes: (number | null)[] = [];
    for (let seq = state.first_seq; seq <= state.last_seq; seq += 1) {
      const index = (await jsm.streams.getMessage(STREAM, { seq }))?.header.get(LOG_INDEX_HEADER);
      indexes.push(index ? Number(index) : null);
    }
    return indexes;
  });
const upTo = (n: number) => Array.from({ length: n }, (_, i) => i);

describe('the NATS relay', () => {
  it('tells each fact once, in log order, as a CloudEvent in binary mode with the bytes as stored', async () => {
    running.push(relay());
    await appendMany(40);
    await until('all are told', async () => (await streamEnd()) === 40);
    expect(await told()).toEqual(upTo(40));
    const row = (await log.store.readRawLog(16, 1))[0]!;
    const message = await withJetStream((jsm) => jsm.streams.getMessage(STREAM, { seq: 18 }));
    expect(message!.string()).toBe(row.event!.data);
    const id = row.event!.stream_id.slice('rollout-'.length);
    expect(message!.subject).toBe(`edgeml.events.rollout.${id}.aborted`);
    const header = (name: string) => message!.header.get(name);
    expect({
      type: header('ce-type'),
      subject: header('ce-subject'),
      sequence: header('ce-sequence'),
      key: header('ce-partitionkey'),
      id: header('Nats-Msg-Id'),
      ceId: header('ce-id'),
      content: header('Content-Type'),
      version: header(STREAM_VERSION_HEADER),
    }).toEqual({
      type: 'dev.edgeml.rollout.aborted.v1',
      subject: `rollouts/${id}`,
      sequence: '00000000000000000017',
      key: `rollout-${id}`,
      id: row.event!.event_id,
      ceId: row.event!.event_id,
      content: 'application/json',
      version: String(row.event!.stream_version),
    });
  });

  it('makes a stream that keeps what it has', async () => {
    running.push(relay());
    await until('the stream is there', () =>
      withJetStream((jsm) => jsm.streams.info(STREAM)).then(
        () => true,
        () => false,
      ),
    );
    const { config } = await withJetStream((jsm) => jsm.streams.info(STREAM));
    expect(config).toMatchObject({
      subjects: ['edgeml.events.>'],
      storage: 'file',
      discard: 'old',
      max_age: 7 * 86_400 * 1e9,
      duplicate_window: 120 * 1e9,
      deny_delete: true,
      deny_purge: true,
      allow_direct: true,
    });
    await expect(withJetStream((jsm) => jsm.streams.purge(STREAM))).rejects.toThrow();
  });

  it('goes on after the tail when the server is killed and restarted under load: no doubles, no gaps', async () => {
    running.push(relay());
    for (let round = 0; round < 3; round += 1) {
      const load = appendMany(200);
      await until('some are told', async () => (await streamEnd()) > round * 200 + 20);
      await nats.kill();
      await load;
      await nats.start();
      await until('all are told', async () => (await streamEnd()) === (round + 1) * 200, 30_000);
    }
    expect(await told()).toEqual(upTo(600));
  });

  it('goes on after the tail when the relay itself is stopped between any two publishes', async () => {
    for (let round = 1; round <= 6; round += 1) {
      await appendMany(40);
      const one = new AbortController();
      let published = 0;
      await relay(one.signal, () => {
        published += 1;
        if (published === round) one.abort();
      });
    }
    running.push(relay());
    await until('all are told', async () => (await streamEnd()) === 240);
    expect(await told()).toEqual(upTo(240));
  });

  it('keeps order and loses nothing where a stranger writes into the middle of its window', async () => {
    await appendMany(300);
    const nc = await connect({ servers: nats.url });
    let strangers = 0;
    running.push(
      relay(stop.signal, (index) => {
        if (index % 60 !== 30 || strangers >= 4) return;
        strangers += 1;
        nc.publish('edgeml.events.stranger', 'x');
      }),
    );
    await until('all are told', async () => (await streamEnd()) === 300 + strangers, 30_000);
    await nc.close();
    expect(strangers).toBe(4);
    expect((await told()).filter((index) => index !== null)).toEqual(upTo(300));
  });

  it('needs no dedupe window: relay down past it, server restarted, and still no doubles and no gaps', async () => {
    const one = new AbortController();
    await appendMany(20);
    await relay(one.signal, (index) => index === 11 && one.abort());
    await withJetStream(async (jsm) => {
      const { config } = await jsm.streams.info(STREAM);
      await jsm.streams.update(STREAM, { ...config, duplicate_window: 100 * 1e6 });
    });
    await nats.kill();
    await nats.start();
    // Past the window: a message with a known id is taken as new, so only the tail tells.
    await withJetStream(async (jsm) => {
      const id = (await jsm.streams.getMessage(STREAM, { seq: 12 }))!.header.get('Nats-Msg-Id');
      const nc = await connect({ servers: nats.url });
      const publish = () => jetstream(nc).publish('edgeml.events.rollout.1.twin', '{}', { msgID: id });
      await until('the window has passed', async () => !(await publish()).duplicate);
      await nc.close();
    });
    running.push(relay());
    await until('all are told', async () => (await streamEnd()) === 21);
    expect((await told()).filter((i) => i !== null)).toEqual(upTo(20));
  });

  it('makes a deleted stream again and tells it from the beginning, as far back as it reaches', async () => {
    running.push(relay());
    await appendMany(50);
    await until('all are told', async () => (await streamEnd()) === 50);
    await withJetStream((jsm) => jsm.streams.delete(STREAM));
    await appendMany(30);
    await until('all are told again', async () => (await streamEnd()) === 80, 30_000);
    expect(await told()).toEqual(upTo(80));
  });

  it('gives a new stream the last 10,000 facts, and no more', async () => {
    for (let i = 0; i < 11; i += 1) {
      const events = Array.from({ length: 1_000 }, () => abortedFact('rollout-1'));
      await log.store.append(request({ 'rollout-1': 'any' }, { events }));
    }
    await until('all are placed', async () => (await log.store.head()) === 10_999);
    running.push(relay());
    await until('all are told', async () => (await streamEnd()) === 10_001, 40_000);
    const first = await withJetStream((jsm) => jsm.streams.getMessage(STREAM, { seq: 1 }));
    expect(first!.header.get(LOG_INDEX_HEADER)).toBe('999');
  });

  it('passes a stranger’s message by', async () => {
    const one = new AbortController();
    await appendMany(10);
    await relay(one.signal, (index) => index === 9 && one.abort());
    const nc = await connect({ servers: nats.url });
    nc.publish('edgeml.events.rollout.1.forged', '{}');
    await nc.flush();
    await nc.close();
    await until('it is stored', async () => (await streamEnd()) === 11);
    await appendMany(5);
    running.push(relay());
    await until('all are told', async () => (await streamEnd()) === 16);
    expect(await told()).toEqual([...upTo(10), null, 10, 11, 12, 13, 14]);
  });

  it('uses the follower row where the messages have aged out', async () => {
    const one = new AbortController();
    await appendMany(10);
    const first = relay(one.signal);
    const saved = async () =>
      (await log.admin.query(`SELECT log_index::int AS i FROM store.followers WHERE name = 'nats'`)).rows[0]?.i;
    await until('the row is saved', async () => (await saved()) === 9);
    one.abort();
    await first;
    await withJetStream(async (jsm) => {
      const { config } = await jsm.streams.info(STREAM);
      await jsm.streams.update(STREAM, { ...config, max_age: 100 * 1e6, duplicate_window: 100 * 1e6 });
      await until('they have aged out', async () => (await jsm.streams.info(STREAM)).state.messages === 0);
      await jsm.streams.update(STREAM, { ...config });
    });
    await appendMany(3);
    running.push(relay());
    await until('the rest is told', async () => (await streamEnd()) === 13);
    expect(await told()).toEqual([10, 11, 12]);
  });
});

describe('who waits for the log to grow', () => {
  it('notifies for facts, survives the server, and says nothing while it is away', async () => {
    running.push(relay());
    const heard: (number | undefined)[] = [];
    const onGrowth = (logIndex?: number) => void heard.push(logIndex);
    running.push(subscribeGrowth({ natsUrl: nats.url, signal: stop.signal, onGrowth }));
    await until('it notified when it connected', () => heard.length > 0);
    expect(heard[0]).toBeUndefined();
    await appendMany(3);
    await until('it notified for the facts', () => heard.at(-1) === 2);
    await nats.kill();
    await nats.start();
    await until('it notified when it connected again', () => heard.at(-1) === undefined);
    await appendMany(1);
    await until('it notifies again', () => heard.at(-1) === 3);
  });

  it('notifies once for many facts, and never beyond what was told', async () => {
    await appendMany(400);
    let last = -1;
    const heard: number[] = [];
    const onGrowth = (logIndex?: number) => {
      if (logIndex === undefined) return;
      expect(logIndex).toBeLessThanOrEqual(last);
      heard.push(logIndex);
    };
    running.push(subscribeGrowth({ natsUrl: nats.url, signal: stop.signal, onGrowth }));
    running.push(relay(stop.signal, (index) => (last = index)));
    await until('it notified for the last', () => heard.at(-1) === 399);
    expect(heard).toEqual([...heard].sort((a, b) => a - b));
    expect(heard.length).toBeLessThan(100);
  });

  it('notifies for everything where a stranger notifies with what is no index', async () => {
    let heard = 0;
    running.push(
      subscribeGrowth({ natsUrl: nats.url, signal: stop.signal, onGrowth: (i) => (heard += Number(i === undefined)) }),
    );
    await until('it notified when it connected', () => heard === 1);
    const nc = await connect({ servers: nats.url });
    for (const text of ['', 'x', '-1', '1e3', '9'.repeat(40)]) nc.publish(GROWTH_SUBJECT, text);
    await nc.flush();
    await nc.close();
    await until('it notified for each', () => heard === 6);
  });

  it('ends quietly where there never was a server', async () => {
    const one = new AbortController();
    const wakeUp = subscribeGrowth({ natsUrl: 'nats://127.0.0.1:1', signal: one.signal, onGrowth: () => undefined });
    one.abort();
    await expect(wakeUp).resolves.toBeUndefined();
  });

  it('makes the stream anew where its last message is no fact of this log: it was restored to an earlier moment', async () => {
    await appendMany(5);
    await until('5 facts', async () => (await log.store.head()) === 4);
    const restore = await backUp(log.admin);
    const first = new AbortController();
    const before = relay(first.signal);
    await appendMany(4);
    await until('9 are told', async () => (await streamEnd()) === 9);
    first.abort();
    stop.abort();
    await Promise.all([before, ...running]);
    await restore();

    // As long as what was lost, so that the indexes alone say nothing.
    stop = new AbortController();
    running = [runSequencer({ connectionString: log.appUrl, signal: stop.signal, log: logger })];
    await appendMany(4);
    await until('9 facts again', async () => (await log.store.head()) === 8);
    running.push(relay());
    const inLog = async () => (await log.store.readRawLog(-1, 100)).map((r) => r.event!.event_id);
    const inStream = () =>
      withJetStream(async (jsm) => {
        const ids: (string | undefined)[] = [];
        for (let seq = 1; seq <= 9; seq += 1)
          ids.push((await jsm.streams.getMessage(STREAM, { seq }))?.header.get('Nats-Msg-Id'));
        return ids;
      }).catch(() => []);
    const due = await inLog();
    await until('the stream is that of the log', async () => (await inStream()).join() === due.join());
  });
});
