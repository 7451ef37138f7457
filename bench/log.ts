/**
 * The log: appends beside raw INSERTs of the same rows into a table with the same indexes, in the same run, and the time from
 * a commit to its log index. `--full` for the long preset. Exits 1 if an answer is wrong.
 */
import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { runSequencer } from '../relay/sequencer.ts';
import { createPool } from '../store/connect.ts';
import type { AppendRequest } from '../store/log/eventStore.ts';
import { createEventStore } from '../store/log/postgresEventStore.ts';
import { withDatabase, type BenchDatabase } from './support/database.ts';
import { check, printConditions, printResult, quantile } from './support/report.ts';

const isFull = process.argv.includes('--full');
const preset = isFull
  ? { rounds: 7, seconds: 60, preload: 1_000_000, batched: 1_000_000, lagSeconds: 60, rates: [200, 1_000] }
  : { rounds: 1, seconds: 3, preload: 0, batched: 20_000, lagSeconds: 5, rates: [200] };
const BATCH = 1_000;
const quiet = { info: () => undefined, warn: console.warn, error: console.error };

let drawn = 0;
const freshStream = () => `rollout-${(drawn += 1)}`;
const reason = 'p95 latency of 212 ms exceeds the limit of 150 ms on iOS 14 at stage 2';

function requestOf(stream: string, count = 1, checked: readonly string[] = []): AppendRequest {
  const event = () => ({
    id: randomUUID(),
    stream,
    machine: 'rollout@1',
    schemaVersion: 1,
    fact: { type: 'RolloutAborted', data: { reason } } as const,
  });
  return {
    commandId: randomUUID(),
    commandHash: Buffer.alloc(32, 7),
    actor: { kind: 'workflow', id: 'rollout:1' },
    correlationId: stream,
    causationId: null,
    expected: new Map<string, 'none' | 'any'>([[stream, 'none'], ...checked.map((s) => [s, 'any'] as const)]),
    events: Array.from({ length: count }, event),
  };
}

const COLUMNS = `event_id, stream_id, stream_version, type, schema_version, machine, actor_kind, actor_id, command_id,
  command_seq, command_hash, correlation_id, recorded_at, data`;
const rawInsert = (table: string) => `INSERT INTO ${table} (${COLUMNS}) VALUES
  ($1, $2, 1, 'RolloutAborted', 1, 'rollout@1', 'workflow', 'rollout:1', $3, 1, $4, $2, clock_timestamp(), $5)`;
const rawUnnest = `INSERT INTO bench.events (${COLUMNS})
  SELECT id, $2, ord, 'RolloutAborted', 1, 'rollout@1', 'workflow', 'rollout:1', $3, ord, $4, $2, clock_timestamp(), data
    FROM unnest($1::uuid[], $5::json[]) WITH ORDINALITY u(id, data, ord) ORDER BY ord`;
const data = JSON.stringify({ reason });

/** `work` again and again on `connections` lanes for `seconds`; how often in all. */
async function repeat(connections: number, seconds: number, work: () => Promise<void>): Promise<number> {
  const end = performance.now() + seconds * 1_000;
  let done = 0;
  const lane = async () => {
    while (performance.now() < end) {
      await work();
      done += 1;
    }
  };
  await Promise.all(Array.from({ length: connections }, lane));
  return done;
}

async function prepare(db: BenchDatabase): Promise<void> {
  const admin = new pg.Client({ connectionString: db.adminUrl });
  await admin.connect();
  await admin.query(`
    CREATE SCHEMA bench;
    CREATE TABLE bench.events (LIKE store.events INCLUDING ALL);
    GRANT USAGE ON SCHEMA bench TO edgeml_app;
    GRANT SELECT, INSERT ON bench.events TO edgeml_app;`);
  if (preset.preload > 0) {
    for (const table of ['store.events', 'bench.events']) {
      await admin.query(
        `INSERT INTO ${table} (${COLUMNS}) SELECT gen_random_uuid(), 'preload-' || i, 1, 'RolloutAborted', 1, 'rollout@1', 'workflow',
           'rollout:1', 'preload-' || i, 1, NULL, NULL, clock_timestamp(), $1 FROM generate_series(1, $2::int) i`,
        [data, preset.preload],
      );
    }
    await admin.query('VACUUM ANALYZE store.events');
    await admin.query('VACUUM ANALYZE bench.events');
  }
  await admin.end();
}

/** One fact a command: on one stream (`append_one`), or with a second stream that is only checked (`append`). */
async function singles(db: BenchDatabase, connections: number, streams: 1 | 2): Promise<void> {
  const store = createEventStore({ connectionString: db.appUrl, connections: { command: connections } });
  const pool = createPool({ connectionString: db.appUrl, max: connections });
  const stored = async (table: string) =>
    (await pool.query<{ n: number }>(`SELECT count(*) AS n FROM ${table}`)).rows[0]!.n;
  const ours: number[] = [];
  const raws: number[] = [];
  const append = async () => {
    const result = await store.append(requestOf(freshStream(), 1, streams === 2 ? [freshStream()] : []));
    check(result.outcome === 'appended', 'a fresh stream took no append');
  };
  const text = rawInsert('bench.events');
  const insert = async () => {
    await pool.query({
      name: 'raw',
      text,
      values: [randomUUID(), freshStream(), randomUUID(), Buffer.alloc(32, 7), data],
    });
  };
  await repeat(connections, 0.3, append);
  await repeat(connections, 0.3, insert);
  const before = [await stored('store.events'), await stored('bench.events')] as const;
  for (let round = 0; round < preset.rounds; round += 1) {
    // In turns of half a second, so that a busy neighbour slows both.
    let [a, b] = [0, 0];
    for (let turn = 0; turn < preset.seconds; turn += 0.5) {
      a += await repeat(connections, 0.5, append);
      b += await repeat(connections, 0.5, insert);
    }
    ours.push(a);
    raws.push(b);
  }
  const sum = (values: number[]) => values.reduce((x, y) => x + y, 0);
  check((await stored('store.events')) - before[0] === sum(ours), 'acknowledged appends are not what is stored');
  check((await stored('bench.events')) - before[1] === sum(raws), 'acknowledged inserts are not what is stored');
  const ratio = quantile(
    ours.map((n, i) => n / raws[i]!),
    0.5,
  );
  const perSecond = (values: number[]) => Math.round(quantile(values, 0.5) / preset.seconds);
  printResult(
    `append on ${streams} stream${streams > 1 ? 's' : ''}, ${connections} connection${connections > 1 ? 's' : ''}`,
    `${perSecond(ours)}/s, INSERT ${perSecond(raws)}/s, ratio ${ratio.toFixed(2)}`,
    streams === 1 ? '≥ 0.70' : '≥ 0.40',
    ratio >= (streams === 1 ? 0.7 : 0.4),
  );
  await store.close();
  await pool.end();
}

async function batches(db: BenchDatabase): Promise<void> {
  const store = createEventStore({ connectionString: db.appUrl });
  const pool = createPool({ connectionString: db.appUrl, max: 1 });
  const timed = async (work: () => Promise<unknown>) => {
    const began = performance.now();
    await work();
    return performance.now() - began;
  };
  let [ours, raw] = [0, 0];
  for (let n = 0; n <= preset.batched; n += BATCH) {
    const stream = freshStream();
    const wanted = requestOf(stream, BATCH);
    const a = await timed(() => store.append(wanted));
    const ids = wanted.events.map(() => randomUUID());
    const values = [ids, stream, randomUUID(), Buffer.alloc(32, 7), ids.map(() => data)];
    const b = await timed(() => pool.query({ name: 'unnest', text: rawUnnest, values }));
    if (n > 0) [ours, raw] = [ours + a, raw + b]; // the first pair warms up
    const { rows } = await pool.query<{ event_id: string; stream_version: number }>(
      'SELECT event_id, stream_version FROM store.events WHERE stream_id = $1 ORDER BY position',
      [stream],
    );
    const isInOrder = rows.every((r, i) => r.event_id === wanted.events[i]!.id && r.stream_version === i + 1);
    check(rows.length === BATCH && isInOrder, 'a batch is not stored whole and in order');
  }
  const rate = (ms: number) => `${Math.round(preset.batched / ms)}k/s`;
  printResult(
    `append, batches of ${BATCH}`,
    `${rate(ours)}, raw unnest ${rate(raw)}, ratio ${(raw / ours).toFixed(2)}`,
    '≥ 0.60',
    raw / ours >= 0.6,
  );
  await store.close();
  await pool.end();
}

/** From the answer of an append to the notification that carries its log index. */
async function lag(db: BenchDatabase, rate: number): Promise<void> {
  const store = createEventStore({ connectionString: db.appUrl });
  const stop = new AbortController();
  const sequencer = runSequencer({ connectionString: db.appUrl, signal: stop.signal, log: quiet });
  const listener = new pg.Client({ connectionString: db.appUrl });
  await listener.connect();
  const heads: { at: number; head: number }[] = [];
  listener.on('notification', (n) => heads.push({ at: performance.now(), head: Number(n.payload) }));
  await listener.query('LISTEN edgeml_log');
  await drain(store, db);

  const first = await store.head();
  const answered = new Map<string, number>();
  const began = performance.now();
  const pending: Promise<void>[] = [];
  for (let i = 0; i < rate * preset.lagSeconds; i += 1) {
    const due = began + (i * 1_000) / rate;
    while (performance.now() < due)
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, due - performance.now())));
    const request = requestOf(freshStream());
    pending.push(store.append(request).then(() => void answered.set(request.events[0]!.id, performance.now())));
  }
  await Promise.all(pending);
  await drain(store, db);

  const rows = await store.readLog(first, answered.size + 1);
  check(rows.length === answered.size, 'facts in the log are not the facts appended');
  check(
    rows.every((r, i) => r.logIndex === first + 1 + i),
    'the log has a gap',
  );
  check(new Set(rows.map((r) => r.id)).size === answered.size, 'a fact is in the log twice');
  let k = 0;
  const lags = rows.map((row) => {
    while (heads[k] && heads[k]!.head < row.logIndex) k += 1;
    return Math.max(0, heads[k]!.at - answered.get(row.id)!);
  });
  const [p50, p99] = [quantile(lags, 0.5), quantile(lags, 0.99)];
  printResult(
    `commit → log index at ${rate}/s`,
    `p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, most ${Math.max(...lags).toFixed(1)} ms (${lags.length} facts)`,
    'p99 ≤ 25 ms',
    p99 <= 25,
  );
  stop.abort();
  await sequencer;
  await listener.end();
  await store.close();
}

/** Waits until nothing is left to sequence. */
async function drain(store: ReturnType<typeof createEventStore>, db: BenchDatabase): Promise<void> {
  const client = new pg.Client({ connectionString: db.appUrl });
  await client.connect();
  const total = Number((await client.query('SELECT count(*) AS n FROM store.events')).rows[0].n);
  while ((await store.head()) + 1 < total) await new Promise((resolve) => setTimeout(resolve, 20));
  await client.end();
}

await withDatabase(async (db) => {
  printConditions({ postgres: db.version, durability: 'fsync on', preset: isFull ? 'full' : 'quick' });
  await prepare(db);
  for (const connections of [1, 16]) {
    for (const streams of [1, 2] as const) await singles(db, connections, streams);
  }
  await batches(db);
  for (const rate of preset.rates) await lag(db, rate);
});
