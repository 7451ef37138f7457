/** Long streams are folded from their snapshots; one that cannot be trusted is ignored, reported and removed. */
import type { LogIndex } from '../../domain/brands.ts';
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { AnyFact } from '../../domain/events/streams.ts';
import { rollout, training } from '../../machines/facts.fixture.ts';
import { machineFor } from '../../machines/registry.ts';
import { runSequencer } from '../../relay/sequencer.ts';
import { openLog, request, until, type LogFixture } from '../../test/support/log.ts';
import { createEventStore } from '../log/postgresEventStore.ts';
import { foldKeyOf } from './foldKey.ts';
import { foldStreams } from './foldStreams.ts';
import { checksumOf, type Snapshot } from './snapshot.ts';

let log: LogFixture;
const stop = new AbortController();
let sequencer: Promise<void>;
const warnings: object[] = [];
beforeAll(async () => {
  log = await openLog();
  const quiet = { info() {}, warn() {}, error() {} };
  sequencer = runSequencer({ connectionString: log.appUrl, signal: stop.signal, log: quiet });
});
afterAll(async () => {
  stop.abort();
  await sequencer;
  await log.close();
});
beforeEach(() => void (warnings.length = 0));

async function append(stream: string, from: number, facts: readonly AnyFact[]): Promise<void> {
  const machine = machineFor(stream).name;
  const events = facts.map((fact) => ({ id: randomUUID(), stream, machine, schemaVersion: 1, fact }));
  for (let i = 0; i < events.length; i += 500) {
    const result = await log.store.append(request({ [stream]: from + i }, { events: events.slice(i, i + 500) }));
    if (result.outcome !== 'appended') throw new Error(JSON.stringify(result));
  }
}
let streams = 0;
/** A rollout of `facts` facts; all but the first three are judgements. */
async function longRollout(facts: number): Promise<string> {
  const stream = `rollout-${(streams += 1)}`;
  const looks = Array.from({ length: facts - 3 }, (_, i) => rollout.judged('PENDING', { look: i + 1 }));
  await append(stream, 0, [rollout.created(), rollout.started, rollout.entered(0), ...looks]);
  return stream;
}

/** Folds and leaves what is to be left; resolves when that is written. */
async function fold(stream: string, upTo?: LogIndex) {
  const store = createEventStore({
    connectionString: log.appUrl,
    logger: { warn: (detail) => void warnings.push(detail) },
  });
  const found = await foldStreams(store, [stream], { upTo });
  found.afterwards();
  await store.close();
  return plain(found.streams.get(stream)!.folded);
}
const plain = <T extends { readonly snapshot: unknown }>({ snapshot: _, ...folded }: T) => folded;
const fromZero = async (stream: string, upTo?: LogIndex) =>
  plain(machineFor(stream).fold(await log.store.readStream(stream, upTo)));
async function tailOf(stream: string, upTo?: LogIndex) {
  const loaded = await log.store.load([stream], undefined, { folds: [foldKeyOf(stream)], upTo });
  return { ...loaded.beginnings.get(stream)!, events: loaded.streams.get(stream)! };
}
const kept = async (stream: string) => {
  const text = 'SELECT version::int FROM ops.stream_snapshots WHERE stream_id = $1 ORDER BY version';
  return (await log.admin.query<{ version: number }>(text, [stream])).rows.map((r) => r.version);
};

describe('a long stream', () => {
  it('is folded from its snapshot and the facts after it, with its first fact beside them', async () => {
    const stream = await longRollout(600);
    expect(await tailOf(stream)).toMatchObject({ snapshot: undefined, events: { length: 600 } });
    expect(await fold(stream)).toStrictEqual(await fromZero(stream));
    expect(await kept(stream)).toEqual([600]);

    await append(stream, 600, [rollout.judged('HEALTHY', { look: 601 }), rollout.paused]);
    const tail = await tailOf(stream);
    expect(tail.events.map((e) => e.version)).toEqual([601, 602]);
    expect(tail.first).toMatchObject({ version: 1, fact: { type: 'RolloutCreated' } });
    expect(await fold(stream)).toStrictEqual(await fromZero(stream));
    expect(await kept(stream)).toEqual([600]);
    expect(warnings).toEqual([]);
  });

  it('leaves none while it is short, nor after a fact that its machine refuses', async () => {
    const short = await longRollout(256);
    await fold(short);
    expect(await kept(short)).toEqual([]);
    const diverged = await longRollout(300);
    await append(diverged, 300, [rollout.entered(7)]);
    expect(await fold(diverged)).toMatchObject({ divergence: { version: 301 } });
    expect(await kept(diverged)).toEqual([]);
  });

  it('leaves fewer the more its state weighs, so that they never outweigh the facts', async () => {
    const stream = `training-${randomUUID()}`;
    const rounds = (from: number, to: number) =>
      Array.from({ length: to - from }, (_, i) => from + i + 1).flatMap((round) => [
        training.opened(round),
        training.closed(round),
        training.aggregated(round),
        training.evaluated(round),
      ]);
    await append(stream, 0, [training.requested, ...rounds(0, 300)]);
    await fold(stream);
    expect(await kept(stream)).toEqual([1201]);
    await append(stream, 1201, rounds(300, 370));
    expect(await fold(stream)).toStrictEqual(await fromZero(stream));
    expect(await kept(stream)).toEqual([1201]);
    await append(stream, 1481, rounds(370, 500));
    expect(await fold(stream)).toStrictEqual(await fromZero(stream));
    expect(await kept(stream)).toEqual([1201, 2001]);
  });

  it('is read as of an earlier place from the newest snapshot that is not past it', async () => {
    const stream = await longRollout(400);
    await fold(stream);
    await append(
      stream,
      400,
      Array.from({ length: 300 }, (_, i) => rollout.judged('HEALTHY', { look: 398 + i })),
    );
    await fold(stream);
    expect(await kept(stream)).toEqual([400, 700]);
    const events = await log.store.readStream(stream);
    const last = events.at(-1)!.id;
    await until('all is sequenced', async () => (await log.store.logIndexOf(last)) != null);
    const at = async (version: number) => (await log.store.logIndexOf(events[version - 1]!.id))!;
    for (const [version, from] of [
      [399, undefined],
      [400, 400],
      [450, 400],
      [699, 400],
      [700, 700],
    ] as const) {
      const upTo = await at(version);
      const { snapshot, events: after } = await tailOf(stream, upTo);
      expect([snapshot?.version, after.length]).toEqual([from, version - (from ?? 0)]);
      expect(await fold(stream, upTo)).toStrictEqual(await fromZero(stream, upTo));
    }
  });
});

describe('a snapshot that cannot be trusted', () => {
  type Row = Omit<Snapshot, 'eventId' | 'stream'> & { stream_id: string; event_id: string };
  /** Changes the stored row, with the checksum that belongs to the change where `isSealed`. */
  async function tamper(stream: string, change: (row: Row) => Partial<Row>, isSealed: boolean): Promise<void> {
    const { rows } = await log.admin.query<Row>(
      `SELECT stream_id, fold, version::int AS version, event_id, state, checksum FROM ops.stream_snapshots WHERE stream_id = $1`,
      [stream],
    );
    const row = { ...rows[0]!, ...change(rows[0]!) };
    const { stream_id, fold: key, version, event_id, state } = row;
    const sealed = checksumOf({ stream: stream_id, fold: key, version, eventId: event_id }, state);
    await log.admin.query(
      `UPDATE ops.stream_snapshots SET stream_id = $2, version = $3, event_id = $4, state = $5, checksum = $6 WHERE stream_id = $1`,
      [stream, stream_id, version, event_id, state, isSealed ? sealed : row.checksum],
    );
  }

  it.each<[string, (row: Row) => Partial<Row>, isSealed?: boolean]>([
    ['bad JSON', (row) => ({ state: row.state.slice(1) }), true],
    ['empty', () => ({ state: '' }), true],
    ['another number in the state', (row) => ({ state: row.state.replace('"looks":297', '"looks":3') })],
    ['another checksum', () => ({ checksum: 'x' })],
    ['a shape that the context may not have', (row) => ({ state: row.state.replace('"looks"', '"lo0ks"') }), true],
    ['a state that the chart does not have', (row) => ({ state: row.state.replace('"Active"', '"Flying"') }), true],
    ['a version beyond the head', () => ({ version: 301 }), true],
    ['a version far beyond the head', () => ({ version: 1_000_000 }), true],
    ['an earlier version', () => ({ version: 299 }), true],
    ['a fact that is not in the log', () => ({ event_id: randomUUID() }), true],
  ])('%s', async (_, change, isSealed = false) => {
    const stream = await longRollout(300);
    await fold(stream);
    await tamper(stream, change, isSealed);
    expect(await fold(stream)).toStrictEqual(await fromZero(stream));
    expect(warnings).toEqual([expect.objectContaining({ alarm: 'snapshot_damaged', stream })]);
    // It is gone, and a good one stands in its place.
    expect(await kept(stream)).toEqual([300]);
    expect(await fold(stream)).toStrictEqual(await fromZero(stream));
    expect(await tailOf(stream)).toMatchObject({ snapshot: { version: 300 }, events: [] });
    expect(warnings).toHaveLength(1);
  });

  it('one of another stream', async () => {
    const [stream, other] = [await longRollout(300), await longRollout(310)];
    await fold(other);
    await tamper(other, () => ({ stream_id: stream }), false);
    await tamper(stream, (row) => ({ version: 300, event_id: row.event_id }), false);
    const third = (await log.store.readStream(stream)).at(-1)!.id;
    await tamper(stream, () => ({ event_id: third }), false);
    expect(await fold(stream)).toStrictEqual(await fromZero(stream));
    expect(warnings).toEqual([expect.objectContaining({ why: 'its checksum is another' })]);
  });

  it('those above the end of a log that was rewound go all at once, and good ones below serve', async () => {
    const stream = await longRollout(300);
    await fold(stream);
    // As a restore of the log alone leaves them.
    const place = (version: number) => ({ stream, fold: foldKeyOf(stream), version, eventId: randomUUID() });
    for (const version of [400, 700, 1_000]) {
      const { eventId } = place(version);
      await log.admin.query(
        `INSERT INTO ops.stream_snapshots SELECT stream_id, fold, $2, $3, state, checksum FROM ops.stream_snapshots
          WHERE stream_id = $1 AND version = 300`,
        [stream, version, eventId],
      );
    }
    expect(await fold(stream)).toStrictEqual(await fromZero(stream));
    expect(await kept(stream)).toEqual([300]);
    expect(warnings).toHaveLength(1);
  });

  it('is read by the code that made it only', async () => {
    const stream = await longRollout(300);
    await fold(stream);
    await log.admin.query(`UPDATE ops.stream_snapshots SET fold = 'rollout@1:before' WHERE stream_id = $1`, [stream]);
    expect(await tailOf(stream)).toMatchObject({ snapshot: undefined, events: { length: 300 } });
    await fold(stream);
    expect(await kept(stream)).toEqual([300, 300]);
    await log.admin.query(`UPDATE ops.stream_snapshots SET made_at = now() - interval '2 days' WHERE stream_id = $1`, [
      stream,
    ]);
    await append(
      stream,
      300,
      Array.from({ length: 300 }, (_, i) => rollout.judged('HEALTHY', { look: 298 + i })),
    );
    await fold(stream);
    expect(await kept(stream)).toEqual([300, 600]);
    expect(warnings).toEqual([]);
  });
});
