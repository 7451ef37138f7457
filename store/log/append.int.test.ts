/** The SQL function: versions, command ids, deadlocks, refusals. */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { namedSql } from '../sql/namedSql.ts';
import { abortedFact, appendOn, openLog, request, type LogFixture } from '../../test/support/log.ts';

let log: LogFixture;
beforeAll(async () => {
  log = await openLog();
});
afterAll(() => log.close());

let streams = 0;
const fresh = () => `rollout-${(streams += 1)}`;

describe('store.append', () => {
  it('of two that expect the same version, one is appended and one learns the actual version (300 times)', async () => {
    for (let i = 0; i < 300; i += 1) {
      const stream = fresh();
      for (const [expected, actual] of [
        ['none', 1],
        [1, 2],
      ] as const) {
        const both = await Promise.all([
          log.store.append(request({ [stream]: expected })),
          log.store.append(request({ [stream]: expected })),
        ]);
        expect(both.map((r) => r.outcome).sort()).toEqual(['appended', 'conflict']);
        expect(both.find((r) => r.outcome === 'conflict')).toEqual({
          outcome: 'conflict',
          conflicts: [{ stream, expected, actual }],
        });
      }
      const any = await Promise.all([
        log.store.append(request({ [stream]: 'any' })),
        log.store.append(request({ [stream]: 'any' })),
      ]);
      expect(any.flatMap((r) => (r.outcome === 'appended' ? r.events.map((e) => e.version) : [])).sort()).toEqual([
        3, 4,
      ]);
    }
    const nothing = fresh();
    expect(await log.store.append(request({ [nothing]: 'exists' }))).toEqual({
      outcome: 'conflict',
      conflicts: [{ stream: nothing, expected: 'exists', actual: 0 }],
    });
  });

  it('one command at once on two streams is appended once, and both get its ids (300 times)', async () => {
    for (let i = 0; i < 300; i += 1) {
      const commandId = randomUUID();
      const both = await Promise.all([
        log.store.append(request({ [fresh()]: 'none' }, { commandId })),
        log.store.append(request({ [fresh()]: 'none' }, { commandId })),
      ]);
      expect(both.map((r) => r.outcome).sort()).toEqual(['appended', 'duplicate']);
      const [a, b] = both.map((r) => (r.outcome === 'conflict' ? undefined : r.events));
      expect(a).toEqual(b);
    }
  });

  it('a known command gets its first outcome, whatever it expects now; another hash is told; a reused event id throws', async () => {
    const [s1, s2] = [fresh(), fresh()];
    const commandId = randomUUID();
    const first = await log.store.append(request({ [s1]: 'none', [s2]: 'none' }, { commandId }));
    if (first.outcome !== 'appended') throw new Error(first.outcome);
    const again = await log.store.append(request({ [s1]: 'none' }, { commandId }));
    expect(again).toEqual({ outcome: 'duplicate', events: first.events, sameRequest: true });
    const other = await log.store.append(request({ [s1]: 'none' }, { commandId, hash: 2 }));
    expect(other).toEqual({ outcome: 'duplicate', events: first.events, sameRequest: false });
    const reused = { ...request({ [s1]: 1 }), events: [abortedFact(s1, 'x', first.events[0]!.id)] };
    await expect(log.store.append(reused)).rejects.toMatchObject({ code: '23505', constraint: 'events_event_id_key' });
  });

  it('refuses a transaction that has written; without the refusal version 2 would come before version 1', async () => {
    const [a, b] = [await log.session(), await log.session()];
    await a.query('BEGIN');
    await a.query('SELECT pg_current_xact_id()');
    await expect(appendOn(a, request({ [fresh()]: 'none' }))).rejects.toMatchObject({ code: '25000' });
    await a.query('ROLLBACK');

    const source = readFileSync(new URL('../sql/migrations/0002_append.sql', import.meta.url), 'utf8');
    const unguarded = source
      .replaceAll('store.append', 'store.unguarded')
      .replace('OR pg_current_xact_id_if_assigned() IS NOT NULL', '');
    expect(unguarded).not.toContain('if_assigned');
    await log.admin.query(unguarded);
    const stream = fresh();
    const call = namedSql('append').replaceAll('store.append', 'store.unguarded');
    const values = (expected: number, id: string) => [
      ...[id, null, 'system', 'test', null, null, [stream], [expected]],
      ...[[stream], [id], ['RolloutAborted'], [1], ['rollout@1'], ['{"reason":"x"}']],
    ];
    await a.query('BEGIN');
    await a.query('SELECT pg_current_xact_id()'); // A is older
    await b.query(call, values(0, randomUUID())); // B writes version 1
    await a.query(call, values(1, randomUUID())); // A writes version 2
    await a.query('COMMIT');
    const { rows } = await log.admin.query<{ stream_version: string }>(
      'SELECT stream_version FROM store.events WHERE stream_id = $1 ORDER BY era, xid, position',
      [stream],
    );
    expect(rows.map((r) => r.stream_version)).toEqual(['2', '1']);
    await log.admin.query('DROP FUNCTION store.unguarded');
  });

  it('refuses any isolation but READ COMMITTED', async () => {
    const a = await log.session();
    for (const level of ['REPEATABLE READ', 'SERIALIZABLE']) {
      await a.query(`BEGIN ISOLATION LEVEL ${level}`);
      await expect(appendOn(a, request({ [fresh()]: 'none' }))).rejects.toMatchObject({ code: '25000' });
      await a.query('ROLLBACK');
    }
  });

  it('does not deadlock when two streams are named in opposite orders (400 times)', async () => {
    const [s1, s2] = [fresh(), fresh()];
    const sessions = await Promise.all([log.session(), log.session()]);
    // On plain sessions: the store would hide a deadlock by trying again.
    await Promise.all(
      [
        [s1, s2],
        [s2, s1],
      ].map(async ([x, y], k) => {
        for (let i = 0; i < 400; i += 1) {
          const answer = await appendOn(sessions[k]!, request({ [x!]: 'any', [y!]: 'any' }));
          expect(answer.outcome).toBe('appended');
        }
      }),
    );
    const { rows } = await log.admin.query(
      `SELECT stream_id, count(*)::int AS n, max(stream_version)::int AS top FROM store.events
        WHERE stream_id = ANY ($1) GROUP BY 1`,
      [[s1, s2]],
    );
    expect(rows.map((r) => [r.n, r.top])).toEqual([
      [800, 800],
      [800, 800],
    ]);
  });

  it('reports every conflict at once, takes no transaction id and draws no position', async () => {
    const [s1, s2, s3] = [fresh(), fresh(), fresh()];
    await log.store.append(request({ [s1]: 'none', [s2]: 'none' }));
    const drawn = async () =>
      (await log.admin.query('SELECT last_value FROM store.events_position_seq')).rows[0].last_value;
    const before = await drawn();
    const a = await log.session();
    await a.query('BEGIN');
    expect(await appendOn(a, request({ [s1]: 'none', [s2]: 1, [s3]: 7 }))).toEqual({
      outcome: 'conflict',
      conflicts: [
        { stream: s1, expected: 0, actual: 1 },
        { stream: s3, expected: 7, actual: 0 },
      ],
    });
    const { rows } = await a.query('SELECT pg_current_xact_id_if_assigned() AS xid');
    expect(rows[0].xid).toBeNull();
    await a.query('COMMIT');
    expect(await drawn()).toBe(before);
  });

  it('checks a stream that is listed without events, and counts versions per stream in the order given', async () => {
    const [s1, s2, only] = [fresh(), fresh(), fresh()];
    await log.store.append(request({ [only]: 'none' }));
    const events = [abortedFact(s1), abortedFact(s2), abortedFact(s1)];
    const written = await log.store.append(request({ [s1]: 'none', [s2]: 'none', [only]: 1 }, { events }));
    expect(written.outcome === 'appended' && written.events.map((e) => [e.stream, e.version])).toEqual([
      [s1, 1],
      [s2, 1],
      [s1, 2],
    ]);
    expect(await log.store.append(request({ [s1]: 2, [only]: 2 }, { events: [abortedFact(s1)] }))).toEqual({
      outcome: 'conflict',
      conflicts: [{ stream: only, expected: 2, actual: 1 }],
    });
  });

  it('append_one does the same for one event, or nothing at all: no lie, no transaction id, no position', async () => {
    const sql = namedSql('append_one');
    const values = (stream: string | null, expected: number | null, commandId: string | null = randomUUID()) => [
      ...[commandId, null, 'system', 'test', null, null, stream, expected],
      ...[randomUUID(), 'RolloutAborted', 1, 'rollout@1', '{"reason":"x"}'],
    ];
    const a = await log.session();
    const call = async (v: unknown[]) => Number((await a.query(sql, v)).rows[0].version);
    const stream = fresh();
    const commandId = randomUUID();
    expect(await call(values(stream, 0, commandId))).toBe(1);
    expect(await call(values(stream, 1))).toBe(2);
    expect(await call(values(stream, -1))).toBe(3);
    expect(await call(values(stream, -2))).toBe(4);
    const refused = [
      values(stream, 4, commandId), // known
      values(stream, 3),
      values(stream, 0),
      values(fresh(), -1),
      values(stream, -3),
      values(stream, null),
      values(null, -2),
      values(stream, -2, ''),
      values(stream, -2, null),
    ];
    await a.query('BEGIN');
    for (const v of refused) expect((await a.query(sql, v)).rows).toEqual([{ version: null }]);
    const { rows } = await a.query('SELECT pg_current_xact_id_if_assigned() AS xid');
    expect(rows[0].xid).toBeNull();
    await a.query('SELECT pg_current_xact_id()');
    expect((await a.query(sql, values(stream, -2))).rows).toEqual([{ version: null }]);
    await a.query('ROLLBACK');
    await a.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
    expect((await a.query(sql, values(stream, -2))).rows).toEqual([{ version: null }]);
    await a.query('ROLLBACK');
    expect(await log.store.readStream(stream)).toHaveLength(4);
  });

  describe('refuses what is malformed (22023)', () => {
    const id = randomUUID();
    const good = {
      command: id as string | null,
      hash: null as Buffer | null,
      actor_kind: 'system' as string | null,
      actor: 'test' as string | null,
      correlation: null,
      causation: null,
      streams: ['rollout-9001'] as unknown,
      expected: [0] as unknown,
      stream: ['rollout-9001'] as unknown,
      id: [id] as unknown,
      type: ['RolloutAborted'] as unknown,
      schema: [1] as unknown,
      machine: ['rollout@1'] as unknown,
      data: ['{}'] as unknown,
    };
    const many = Array.from({ length: 65 }, (_, i) => `rollout-${i + 1}`);
    const cases: [string, Partial<typeof good>][] = [
      ['no command', { command: '' }],
      ['a null command', { command: null }],
      ['no actor', { actor: '' }],
      ['a null actor kind', { actor_kind: null }],
      ['no event', { stream: [], id: [], type: [], schema: [], machine: [], data: [] }],
      ['no stream', { streams: [], expected: [] }],
      ['65 streams', { streams: many, expected: many.map(() => -2) }],
      ['a stream twice', { streams: ['rollout-9001', 'rollout-9001'], expected: [0, 0] }],
      ['an event on a stream that is not listed', { stream: ['rollout-9002'] }],
      ['an expected version below -2', { expected: [-3] }],
      ['two dimensions', { streams: [['rollout-9001']], expected: [[0]] }],
      ['an array that starts at 0', { streams: '[0:0]={rollout-9001}' }],
      ...(['streams', 'expected', 'stream', 'id', 'type', 'schema', 'machine', 'data'] as const).flatMap(
        (name): [string, Partial<typeof good>][] => [
          [`${name} null`, { [name]: null }],
          [`a null in ${name}`, { [name]: [null] }],
          [`${name} too long`, { [name]: [...(good[name] as unknown[]), ...(good[name] as unknown[])] }],
        ],
      ),
    ];
    it.each(cases)('%s', async (_, change) => {
      const values = Object.values({ ...good, ...change });
      await expect(log.admin.query(namedSql('append'), values)).rejects.toMatchObject({ code: '22023' });
    });
    it('and takes the call that all of these were made from', async () => {
      await expect(log.admin.query(namedSql('append'), Object.values(good))).resolves.toMatchObject({ rowCount: 1 });
    });
  });
});
