/** Reads give what was appended, in order and byte for byte. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runSequencer } from '../../relay/sequencer.ts';
import { createEventStore } from './postgresEventStore.ts';
import { readPast } from './readPast.ts';
import { abortedFact, openLog, request, until, type LogFixture } from '../../test/support/log.ts';

let log: LogFixture;
const stop = new AbortController();
let sequencer: Promise<void>;
const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };
beforeAll(async () => {
  log = await openLog();
  sequencer = runSequencer({ connectionString: log.appUrl, signal: stop.signal, log: silent });
});
afterAll(async () => {
  stop.abort();
  await sequencer;
  await log.close();
});

let streams = 0;
const fresh = () => `rollout-${(streams += 1)}`;
const endSessions = (name: string) =>
  log.admin.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = $1`,
    [name],
  );

describe('reads', () => {
  it('load gives streams in version order, the known command, and the database’s time', async () => {
    const [s1, s2, none] = [fresh(), fresh(), fresh()];
    const commandId = randomUUID();
    const written = await log.store.append(request({ [s1]: 'none', [s2]: 'none' }, { commandId, hash: 9 }));
    await log.store.append(request({ [s1]: 1 }));
    const loaded = await log.store.load([s1, none], { id: commandId, hash: Uint8Array.of(9) });
    expect(loaded.streams.get(s1)?.map((e) => [e.version, e.fact, e.actor])).toEqual([
      [1, { type: 'RolloutAborted', data: { reason: 'a test' } }, { kind: 'system', id: 'test' }],
      [2, { type: 'RolloutAborted', data: { reason: 'a test' } }, { kind: 'system', id: 'test' }],
    ]);
    expect(loaded.streams.get(none)).toEqual([]);
    expect(loaded.known).toEqual({ events: written.outcome === 'appended' && written.events, sameRequest: true });
    expect(loaded.now.getTime()).toBeGreaterThanOrEqual(Date.parse(loaded.streams.get(s1)![1]!.recordedAt));
    const other = await log.store.load([], { id: commandId, hash: null });
    expect(other.known?.sameRequest).toBe(false);
    expect((await log.store.load([none], { id: 'no such', hash: null })).known).toBeUndefined();
  });

  it('gives data back byte for byte, whatever it holds', async () => {
    const stream = fresh();
    const reason = 'quote " backslash \\ brace {}, comma, é 漢 😀 line\n';
    const events = [abortedFact(stream, reason), abortedFact(stream, 'NULL')];
    await log.store.append(request({ [stream]: 'none' }, { events }));
    expect((await log.store.readStream(stream)).map((e) => e.fact.data)).toEqual(events.map((e) => e.fact.data));
  });

  it('readStream, head, logIndexOf, awaitLogIndex and resolveAsOf agree', async () => {
    const stream = fresh();
    const ids: string[] = [];
    for (let i = 0; i < 3; i += 1) {
      const result = await log.store.append(request({ [stream]: i === 0 ? 'none' : i }));
      if (result.outcome !== 'appended') throw new Error(result.outcome);
      ids.push(result.events[0]!.id);
    }
    const index = await log.store.awaitLogIndex(ids[2]!, 10_000);
    expect(index).toBe(await log.store.logIndexOf(ids[2]!));
    expect(index).toBe(await log.store.head());
    const second = (await log.store.logIndexOf(ids[1]!))!;
    expect((await log.store.readStream(stream, second)).map((e) => e.version)).toEqual([1, 2]);
    expect(await log.store.resolveAsOf(`event:${ids[1]}`)).toBe(second);
    expect(await log.store.resolveAsOf(String(second))).toBe(second);
    const at = (await log.store.readLog(second - 1, 1))[0]!.sequencedAt;
    const asOf = await log.store.resolveAsOf(at);
    const [here, after] = await log.store.readLog(asOf - 1, 2);
    expect(here!.sequencedAt).toBe(at);
    expect(after === undefined || after.sequencedAt > at).toBe(true);
    expect(await log.store.resolveAsOf('2020-01-01T00:00:00Z')).toBe(-1);
    expect(await log.store.logIndexOf(randomUUID())).toBeUndefined();
    expect(await log.store.awaitLogIndex(randomUUID(), 30)).toBeNull();
  });

  it.each([
    ['99999999', 'as_of_in_future'],
    ['2999-01-01T00:00:00Z', 'as_of_in_future'],
    [`event:${randomUUID()}`, 'event_not_found'],
    ['event:nonsense', 'event_not_found'],
    ['yesterday', 'invalid_input'],
    ['2026-13-45T00:00:00Z', 'invalid_input'],
    ['-1', 'invalid_input'],
  ])('resolveAsOf refuses %s with %s', async (asOf, code) => {
    await expect(log.store.resolveAsOf(asOf)).rejects.toMatchObject({ name: 'LifecycleError', code });
  });

  it('stops at a fact that its schema refuses, naming the place; readRawLog still gives the row', async () => {
    const stream = fresh();
    await log.admin.query(
      `SELECT store.append('plant', NULL, 'system', 'test', NULL, NULL, ARRAY[$1], ARRAY[0],
         ARRAY[$1], ARRAY[gen_random_uuid()], ARRAY['RolloutAborted'], ARRAY[1::smallint], ARRAY['rollout@1'], ARRAY['{"reason": 7}'::json])`,
      [stream],
    );
    await until(
      'it is placed',
      async () => (await log.store.readRawLog((await log.store.head()) - 1, 1))[0]?.event?.stream_id === stream,
    );
    const head = await log.store.head();
    await expect(log.store.readLog(head - 1, 1)).rejects.toMatchObject({
      name: 'UndecodableFact',
      stream,
      version: 1,
      logIndex: head,
      pointer: '/reason',
    });
    // Who folds the stream meets a type that every machine refuses; who follows the log goes on after it.
    expect(await log.store.readStream(stream)).toMatchObject([
      { fact: { type: 'Undecodable RolloutAborted', data: {} } },
    ]);
    expect((await log.store.load([stream])).streams.get(stream)).toMatchObject([{ version: 1, logIndex: head }]);
    const passage = await readPast(log.store, head - 2, 10);
    expect(passage).toMatchObject({ upTo: head, unread: { logIndex: head }, isEnd: false });
    expect(passage.events.map((e) => e.logIndex)).toEqual([head - 1]);
    expect(await readPast(log.store, head, 10)).toEqual({ events: [], upTo: head, unread: undefined, isEnd: true });
    expect((await log.store.readRawLog(head - 1, 1))[0]!.event!.data).toBe('{"reason": 7}'); // the space is kept
  });
});

describe('writes', () => {
  it('refuses to store a fact that its own schema refuses', async () => {
    const stream = fresh();
    const wrong = { ...abortedFact(stream), fact: { type: 'RolloutAborted', data: { reason: 7 } } } as never;
    await expect(async () => log.store.append(request({ [stream]: 'none' }, { events: [wrong] }))).rejects.toThrow(
      /\/reason/,
    );
    expect(await log.store.readStream(stream)).toEqual([]);
  });

  it('runs `also` in the same transaction, only if it appended, and takes both back together', async () => {
    const stream = fresh();
    const also = (fail: boolean) => async (tx: { query(sql: string): Promise<unknown> }) => {
      await tx.query("UPDATE store.followers SET log_index = log_index + 1 WHERE name = 'also'");
      if (fail) throw new Error('after the append');
    };
    await log.admin.query(`INSERT INTO store.followers VALUES ('also', 0)`);
    const count = async () =>
      Number((await log.admin.query(`SELECT log_index FROM store.followers WHERE name = 'also'`)).rows[0].log_index);
    await expect(log.store.append(request({ [stream]: 'none' }), { also: also(true) })).rejects.toThrow(
      'after the append',
    );
    expect([await count(), await log.store.readStream(stream)]).toEqual([0, []]);
    await log.store.append(request({ [stream]: 'none' }), { also: also(false) });
    expect(await count()).toBe(1);
    expect((await log.store.append(request({ [stream]: 'none' }), { also: also(false) })).outcome).toBe('conflict');
    expect(await count()).toBe(1);
  });

  it('notifies after an append in each of its forms, and not for a conflict', async () => {
    const listener = await log.session();
    let heard = 0;
    listener.on('notification', () => (heard += 1));
    await listener.query('LISTEN edgeml_append');
    const stream = fresh();
    const ways = [
      () => log.store.append(request({ [stream]: 'any' })),
      () => log.store.append(request({ [stream]: 'any' }), { also: async () => undefined }),
      () => log.store.transaction('upload', (tx) => tx.append(request({ [stream]: 'any' }))),
    ];
    for (const way of ways) {
      const before = heard;
      await way();
      await until('it notifies', () => heard > before);
    }
    const before = heard;
    await log.store.append(request({ [stream]: 'none' }));
    await log.admin.query(`NOTIFY edgeml_append, 'the next notification is this one'`);
    await until('our own notification', () => heard > before);
    expect(heard).toBe(before + 1);
  });

  it('refuses a transaction whose failed statement was swallowed', async () => {
    const stream = fresh();
    const body = log.store.transaction('command', async (tx) => {
      await tx.append(request({ [stream]: 'none' }));
      await tx.query('SELECT 1/0').catch(() => undefined);
    });
    await expect(body).rejects.toThrow('swallowed');
    expect(await log.store.readStream(stream)).toEqual([]);
  });

  it('a connection lost after the commit was sent becomes duplicate, not a second append', async () => {
    const stream = fresh();
    const commandId = randomUUID();
    let runs = 0;
    const outcome = await log.store.transaction('upload', async (tx) => {
      runs += 1;
      const result = await tx.append(request({ [stream]: 'any' }, { commandId }));
      if (runs === 1) {
        // Another session commits the same command first as the lost commit would have; then this connection dies.
        await tx.query('ROLLBACK');
        await log.store.append(request({ [stream]: 'any' }, { commandId }));
        await endSessions('edgeml upload');
      }
      return result.outcome;
    });
    expect([outcome, runs]).toEqual(['duplicate', 2]);
    expect(await log.store.readStream(stream)).toHaveLength(1);
  });

  it('keeps appending while its connections are killed, each command once', async () => {
    const stream = fresh();
    const appends = Array.from({ length: 150 }, () => log.store.append(request({ [stream]: 'any' })));
    for (let i = 0; i < 10; i += 1) {
      await endSessions('edgeml command');
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect((await Promise.all(appends)).map((r) => r.outcome)).not.toContain('conflict');
    expect((await log.store.readStream(stream)).map((e) => e.version)).toEqual(
      Array.from({ length: 150 }, (_, i) => i + 1),
    );
  });

  it('waits out a stream lock that is held past lock_timeout', async () => {
    const stream = fresh();
    const holder = await log.session();
    await holder.query('BEGIN');
    await holder.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [stream]);
    const append = log.store.append(request({ [stream]: 'none' }));
    await until('it waits for the lock', async () => {
      const { rows } = await log.admin.query(
        `SELECT 1 FROM pg_locks l JOIN pg_stat_activity a USING (pid)
          WHERE l.locktype = 'advisory' AND NOT l.granted AND a.datname = current_database()`,
      );
      return rows.length > 0;
    });
    await holder.query('SELECT pg_sleep(2.2)'); // the first try ends in 55P03
    await holder.query('COMMIT');
    expect((await append).outcome).toBe('appended');
  });

  it('a stop is appended while uploads hold every connection of their lane', async () => {
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    const uploads = Array.from({ length: 8 }, () => log.store.transaction('upload', async () => held));
    expect((await log.store.append(request({ [fresh()]: 'none' }), { lane: 'stop' })).outcome).toBe('appended');
    release();
    await Promise.all(uploads);
  });

  it('says unavailable, and that nothing was stored, where there is no Postgres', { timeout: 30_000 }, async () => {
    const nowhere = createEventStore({ connectionString: 'postgres://edgeml_app:x@127.0.0.1:1/none' });
    await expect(nowhere.append(request({ [fresh()]: 'none' }))).rejects.toMatchObject({
      name: 'LifecycleError',
      code: 'unavailable',
      message: expect.stringContaining('nothing was stored'),
    });
    await nowhere.close();
  });
});
