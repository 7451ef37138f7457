/** The order of the log under every race of docs/design/event-log.md "Sequencer". */
import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { merkleRoot } from '../domain/hash/merkle.ts';
import { leafOf } from '../store/log/leaf.ts';
import { appendOn, openLog, request, until, type LogFixture } from '../test/support/log.ts';
import { namedSql } from '../store/sql/namedSql.ts';
import { openPublished } from '../test/support/published.ts';
import { runCheckpoints } from './checkpoints.ts';
import { runSequencer } from './sequencer.ts';

interface Line {
  readonly level: string;
  readonly detail: Record<string, unknown>;
  readonly message: string;
}

let log: LogFixture;
let stop: AbortController;
let lines: Line[];
let running: Promise<void>[];
const logger = {
  info: (detail: object, message: string) => void lines.push({ level: 'info', detail: { ...detail }, message }),
  warn: (detail: object, message: string) => void lines.push({ level: 'warn', detail: { ...detail }, message }),
  error: (detail: object, message: string) => void lines.push({ level: 'error', detail: { ...detail }, message }),
};

beforeEach(async () => {
  log = await openLog();
  stop = new AbortController();
  lines = [];
  running = [];
});
afterEach(async () => {
  stop.abort();
  await Promise.all(running);
  await log.close();
});

function sequencer(connectionString = log.appUrl): void {
  running.push(runSequencer({ connectionString, signal: stop.signal, log: logger }));
}
const streamsInOrder = async () => (await log.store.readLog(-1, 10_000)).map((e) => e.stream);
const start = ['1', '0', '0'];
const readSafe = async (cursor = start) =>
  (await log.admin.query(namedSql('sequencer_read'), [...cursor, 1_000])).rows.map((r) => ({
    ...r,
    key: [cursor[0]!, r.xid, r.position] as string[],
  }));
const leaderPid = async () =>
  (
    await log.admin.query<{ pid: number }>(
      `SELECT l.pid FROM pg_locks l JOIN pg_stat_activity a USING (pid)
        WHERE l.locktype = 'advisory' AND l.granted AND a.datname = current_database() AND a.application_name = 'edgeml sequencer'`,
    )
  ).rows[0]?.pid;

/** Every fact has one place, in order, and each stream's versions rise by one. */
async function expectWholeLog(): Promise<void> {
  const { rows } = await log.admin.query<{ log_index: number; stream_id: string; stream_version: number }>(
    `SELECT l.log_index::int, e.stream_id, e.stream_version::int FROM store.events e LEFT JOIN store.log l USING (position)
      ORDER BY l.log_index`,
  );
  expect(rows.map((r) => r.log_index)).toEqual(rows.map((_, i) => i));
  const versions = new Map<string, number>();
  for (const row of rows) {
    expect(row.stream_version).toBe((versions.get(row.stream_id) ?? 0) + 1);
    versions.set(row.stream_id, row.stream_version);
  }
}
const isAllPlaced = async () =>
  (await log.admin.query('SELECT (SELECT count(*) FROM store.events) = (SELECT count(*) FROM store.log) AS ok')).rows[0]
    .ok;

describe('the order', () => {
  it('a writer that holds its transaction open holds back what commits after it', async () => {
    sequencer();
    const a = await log.session();
    await a.query('BEGIN');
    await appendOn(a, request({ 'rollout-1': 'none' }));
    await log.store.append(request({ 'rollout-2': 'none' }));
    expect(await readSafe()).toEqual([]);
    expect((await log.admin.query(namedSql('sequencer_waiting'), start)).rows[0].is_waiting).toBe(true);
    expect(await log.store.head()).toBe(-1);
    await a.query('COMMIT');
    await until('both facts are in the log', isAllPlaced);
    expect(await streamsInOrder()).toEqual(['rollout-1', 'rollout-2']);
  });

  it('a newer transaction with a lower position comes after; sorting by position would lose it', async () => {
    const insert = `INSERT INTO store.events (event_id, stream_id, stream_version, type, schema_version, machine, actor_kind,
        actor_id, command_id, command_seq, recorded_at, data)
      VALUES ($1::uuid, $2, 1, 'RolloutAborted', 1, 'rollout@1', 'system', 'test', $2, 1, now(), '{"reason":"x"}')`;
    const [a, b] = [await log.session(log.adminUrl), await log.session(log.adminUrl)];
    await a.query('BEGIN');
    await a.query('SELECT pg_current_xact_id()'); // A is older
    await b.query('BEGIN');
    await b.query(insert, [randomUUID(), 'rollout-2']); // B draws the lower position
    await a.query(insert, [randomUUID(), 'rollout-1']);
    await a.query('COMMIT');

    // Until: a transaction of another test in the same cluster may hold the horizon for a moment.
    await until('A is safe', async () => (await readSafe()).length > 0);
    const [first, ...none] = await readSafe();
    expect([first?.stream_id, none]).toEqual(['rollout-1', []]);
    await b.query('COMMIT');
    const byPosition = await log.admin.query('SELECT 1 FROM store.events WHERE position > $1', [first!.position]);
    expect(byPosition.rowCount).toBe(0); // a cursor of positions has passed B by
    await until('B is safe', async () => (await readSafe(first!.key)).length > 0);
    expect((await readSafe(first!.key)).map((r) => r.stream_id)).toEqual(['rollout-2']);
    sequencer();
    await until('both facts are in the log', isAllPlaced);
    expect(await streamsInOrder()).toEqual(['rollout-1', 'rollout-2']);
  });

  it('an append that rolled back leaves no hole and nobody waits for it', async () => {
    sequencer();
    const a = await log.session();
    await a.query('BEGIN');
    await appendOn(a, request({ 'rollout-1': 'none' }));
    await a.query('ROLLBACK');
    await log.store.append(request({ 'rollout-2': 'none' }));
    await until('the fact is in the log', async () => (await log.store.head()) === 0);
    const { rows } = await log.admin.query('SELECT position::int FROM store.log');
    expect(rows).toEqual([{ position: 2 }]); // position 1 is a hole; log index 0 is not
    await expectWholeLog();
  });

  it('an idle writer is named by the alarm, ended by its time-out, and the log goes on', async () => {
    sequencer();
    const a = await log.session();
    const pid = (await a.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')).rows[0]!.pid;
    await a.query('BEGIN');
    await appendOn(a, request({ 'rollout-1': 'none' }));
    await log.store.append(request({ 'rollout-2': 'none' }));
    await until('the fact is in the log', async () => (await log.store.head()) === 0);
    expect(await streamsInOrder()).toEqual(['rollout-2']);
    const alarm = lines.find((l) => l.detail['alarm'] === 'sequencer_lag');
    expect(alarm?.detail['holders']).toContainEqual(
      expect.objectContaining({ holder: `pid ${pid}`, user: 'edgeml_app' }),
    );
  });

  it('so is one in another database of the cluster', async () => {
    sequencer();
    const elsewhere = new URL(log.adminUrl);
    elsewhere.pathname = '/postgres';
    const a = await log.session(elsewhere.href);
    const pid = (await a.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')).rows[0]!.pid;
    await a.query('BEGIN');
    await a.query('SELECT pg_current_xact_id()');
    await log.store.append(request({ 'rollout-2': 'none' }));
    await until('the alarm', () => lines.some((l) => l.detail['alarm'] === 'sequencer_lag'));
    const alarm = lines.find((l) => l.detail['alarm'] === 'sequencer_lag')!;
    expect(alarm.detail['holders']).toContainEqual(
      expect.objectContaining({ holder: `pid ${pid}`, database: 'postgres', state: 'idle in transaction' }),
    );
    expect(await log.store.head()).toBe(-1);
    await a.query('ROLLBACK');
    await until('the fact is in the log', async () => (await log.store.head()) === 0);
  });

  it('eight appenders that hold and roll back: every stream in order, every count equal', async () => {
    sequencer();
    let committed = 0;
    await Promise.all(
      Array.from({ length: 8 }, async (_, k) => {
        const client = await log.session();
        for (let i = 0; i < 40; i += 1) {
          await client.query('BEGIN');
          const streams = { [`rollout-${1 + ((i + k) % 3)}`]: 'any', [`rollout-${4 + (i % 2)}`]: 'any' } as const;
          await appendOn(client, request(streams));
          await client.query('SELECT pg_sleep($1)', [((i * 7 + k * 3) % 10) / 1_000]);
          const keep = (i + k) % 3 !== 0;
          await client.query(keep ? 'COMMIT' : 'ROLLBACK');
          if (keep) committed += 2;
        }
      }),
    );
    await until('all are placed', isAllPlaced);
    expect((await log.store.head()) + 1).toBe(committed);
    await expectWholeLog();
  });
});

describe('the leader', () => {
  it('is one of several; its backend may be killed at any time under load: nothing missing, nothing doubled', async () => {
    sequencer();
    sequencer();
    sequencer();
    const killed = new Set<number>();
    for (let round = 0; round < 5; round += 1) {
      const appends = Array.from({ length: 60 }, (_, i) =>
        log.store.append(request({ [`rollout-${1 + (i % 7)}`]: 'any' })),
      );
      const pid = await leaderPid();
      if (pid !== undefined) {
        await log.admin.query('SELECT pg_terminate_backend($1)', [pid]);
        killed.add(pid);
      }
      expect((await Promise.all(appends)).every((r) => r.outcome === 'appended')).toBe(true);
      await until('all are placed', isAllPlaced);
    }
    expect(killed.size).toBeGreaterThan(2);
    expect(await log.store.head()).toBe(299);
    await expectWholeLog();
  });

  it('cannot double a fact even where two believe they lead', async () => {
    for (let i = 1; i <= 50; i += 1) await log.store.append(request({ [`rollout-${i}`]: 'none' }));
    await until('all are safe', async () => (await readSafe()).length === 50);
    const rows = await readSafe();
    const last = rows.at(-1)!;
    const leaves = rows.map(() => Buffer.alloc(32));
    const to = [last.xid, last.position, rows.map((r) => r.position), leaves, new Date().toISOString()];
    const both = await Promise.all(
      [await log.session(), await log.session()].map((client) =>
        client.query<{ placed: string }>(namedSql('sequencer_write'), [...start, '0', ...to]),
      ),
    );
    expect(both.map((r) => r.rows[0]!.placed).sort()).toEqual(['0', '50']);
    await expectWholeLog();
  });

  it('places more than one page, with leaves of the rows as stored and times that never fall', async () => {
    const many = Array.from({ length: 1_300 }, (_, i) =>
      log.store.append(request({ [`rollout-${1 + (i % 50)}`]: 'any' })),
    );
    await Promise.all(many);
    sequencer();
    await until('all are placed', isAllPlaced);
    const rows = await log.store.readRawLog(-1, 2_000);
    expect(rows).toHaveLength(1_300);
    for (const [i, row] of rows.entries()) {
      expect(Buffer.compare(row.leaf_hash, leafOf(row.event!, row.log_index, row.sequenced_at))).toBe(0);
      expect(row.sequenced_at.getTime()).toBeGreaterThanOrEqual(rows[i - 1]?.sequenced_at.getTime() ?? 0);
    }
    await expectWholeLog();
  });

  it('refuses a database that was restored elsewhere, says so, and leaves appends alone', async () => {
    await log.admin.query('UPDATE store.sequencer SET system_identifier = system_identifier + 1');
    sequencer();
    expect((await log.store.append(request({ 'rollout-1': 'none' }))).outcome).toBe('appended');
    const refused = () =>
      lines.filter(
        (l) => l.level === 'error' && (l.detail['err'] as { code?: string }).code === 'sequencer_rebase_required',
      );
    await until('it was refused twice', () => refused().length > 1);
    expect(await log.store.head()).toBe(-1);
    await log.admin.query('UPDATE store.sequencer SET system_identifier = system_identifier - 1');
    await until('it goes on', async () => (await log.store.head()) === 0);
  });
});

describe('checkpoints', () => {
  const checkpoints = async () =>
    (
      await log.admin.query<{ tree_size: number; root: Buffer }>(
        'SELECT tree_size::int, root FROM store.checkpoints ORDER BY tree_size',
      )
    ).rows;

  it('hold the root of the log at their size, also after a restart, and stop at a log that changed', async () => {
    sequencer();
    const first = new AbortController();
    const folder = await openPublished();
    const options = { connectionString: log.appUrl, logger, published: folder.published, everyMs: 20 };
    const before = runCheckpoints({ ...options, signal: first.signal });
    for (let i = 0; i < 5; i += 1) await log.store.append(request({ 'rollout-1': 'any' }));
    await until('a checkpoint of 5', async () => (await checkpoints()).at(-1)?.tree_size === 5);
    first.abort();
    await before;
    running.push(runCheckpoints({ ...options, signal: stop.signal }));
    for (let i = 0; i < 4; i += 1) await log.store.append(request({ 'rollout-2': 'any' }));
    await until('a checkpoint of 9', async () => (await checkpoints()).at(-1)?.tree_size === 9);
    const leaves = (await log.store.readRawLog(-1, 100)).map((r) => r.leaf_hash);
    for (const { tree_size, root } of await checkpoints()) {
      expect(Buffer.compare(root, merkleRoot(leaves.slice(0, tree_size)))).toBe(0);
    }

    stop.abort();
    await Promise.all(running);
    await log.admin.query('ALTER TABLE store.log DISABLE TRIGGER append_only');
    await log.admin.query(`UPDATE store.log SET leaf_hash = sha256('forged') WHERE log_index = 3`);
    const again = new AbortController();
    const third = runCheckpoints({ ...options, signal: again.signal });
    await until('it refuses', () =>
      lines.some(
        (l) => l.level === 'error' && String(l.detail['err']).includes('no longer has the root of checkpoint 9'),
      ),
    );
    again.abort();
    await third;
    await folder.close();
  });
});
