/** Hot queries touch what they give, at a size where the planner tells the truth. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Kysely, PostgresDialect } from 'kysely';
import { openLog, type LogFixture } from '../../test/support/log.ts';
import { createPool, type Pool } from '../connect.ts';
import { namedSql } from '../sql/namedSql.ts';
import { selectEvents, selectLog, type LogDatabase } from './tables.ts';

const FACTS = 60_000;
/** The last 5,000 facts; all others are in streams of 20. */
const LONG = 'rollout-1000000';
let log: LogFixture;
let pool: Pool;
beforeAll(async () => {
  log = await openLog();
  pool = createPool({ connectionString: log.appUrl, max: 1 });
  await log.admin.query(`
    INSERT INTO store.events (event_id, stream_id, stream_version, type, schema_version, machine, actor_kind, actor_id, command_id,
        command_seq, recorded_at, data, xid)
    SELECT gen_random_uuid(), CASE WHEN i < ${FACTS - 5_000} THEN 'rollout-' || i / 20 + 1 ELSE '${LONG}' END,
        CASE WHEN i < ${FACTS - 5_000} THEN i % 20 + 1 ELSE i - ${FACTS - 5_001} END, 'RolloutAborted', 1, 'rollout@1', 'system', 'test', 'c' || i, 1,
        now(), '{"reason":"x"}', (1 + i / 200)::text::xid8 FROM generate_series(0, ${FACTS - 1}) i`);
  await log.admin.query(`
    INSERT INTO store.log SELECT position - 1, position, sha256(''), timestamptz '2026-01-01Z' + position / 1000 * interval '1 s'
      FROM store.events WHERE position <= ${FACTS - 100}`);
  await log.admin.query(`
    INSERT INTO ops.stream_snapshots SELECT stream_id, 'fold', stream_version, event_id, 'state', 'sum' FROM store.events
     WHERE stream_id = '${LONG}' AND stream_version % 300 = 0`);
  await log.admin.query('ANALYZE ops.stream_snapshots');
  await log.admin.query('VACUUM ANALYZE store.events');
  await log.admin.query('VACUUM ANALYZE store.log');
});
afterAll(async () => {
  await pool.end();
  await log.close();
});

/** Runs the real statement; how many rows any node of its plan touched, and whether one read a whole table. */
async function plan(sql: string, values: readonly unknown[]): Promise<{ most: number; isWholeTable: boolean }> {
  const { rows } = await pool.query(`EXPLAIN (ANALYZE, FORMAT JSON) ${sql}`, [...values]);
  return touched(rows[0]['QUERY PLAN'][0].Plan);
}

function touched(root: Record<string, unknown>): { most: number; isWholeTable: boolean } {
  let most = 0;
  let isWholeTable = false;
  const visit = (node: Record<string, unknown>): void => {
    most = Math.max(
      most,
      Number(node['Actual Rows']) * Number(node['Actual Loops']) + Number(node['Rows Removed by Filter'] ?? 0),
    );
    isWholeTable ||= node['Node Type'] === 'Seq Scan' && ['events', 'log'].includes(String(node['Relation Name']));
    // Safe: EXPLAIN's JSON nests nodes of this shape.
    for (const child of (node['Plans'] ?? []) as Record<string, unknown>[]) visit(child);
  };
  visit(root);
  return { most, isWholeTable };
}

const compiled = (
  build: (db: Kysely<LogDatabase>) => { compile(): { sql: string; parameters: readonly unknown[] } },
) => {
  const { sql, parameters } = build(new Kysely<LogDatabase>({ dialect: new PostgresDialect({ pool }) })).compile();
  return [sql, parameters] as const;
};

describe(`plans at ${FACTS} facts touch what they give`, () => {
  it.each([
    ['sequencer_read at the tail', 100, namedSql('sequencer_read'), [1, 'XID', FACTS - 100, 1000]],
    ['sequencer_waiting', 1, namedSql('sequencer_waiting'), [1, 'XID', FACTS - 100]],
    ['sequencer_lag', 1, namedSql('sequencer_lag'), []],
  ])('%s', async (_, atMost, sql, values) => {
    const xid = (
      await pool.query<{ xid: string }>('SELECT xid::text AS xid FROM store.events ORDER BY position DESC LIMIT 1')
    ).rows[0]!.xid;
    const { most, isWholeTable } = await plan(
      sql,
      values.map((v) => (v === 'XID' ? xid : v)),
    );
    expect(isWholeTable).toBe(false);
    expect(most).toBeLessThanOrEqual(atMost);
  });

  describe.each(['force_generic_plan', 'force_custom_plan'])('load, %s', (mode) => {
    it.each([
      ['short streams and a known command', 200, `'{rollout-7,rollout-2599}', 'c40000', null, '{fold,fold}', null`, 41],
      ['an unknown command', 60, `'{rollout-7}', 'none', null, '{null}', null`, 20],
      // The snapshot, its 200 facts, the first one.
      ['a long stream from its snapshot', 250, `'{${LONG}}', 'none', null, '{fold}', null`, 202],
      // 16 snapshots of 300 facts are walked down to the one at 1,200; facts above the place are read past.
      ['a long stream as of a place', 3_900, `'{${LONG}}', 'none', null, '{fold}', ${FACTS - 3_700}`, 103],
    ])('%s', async (_, atMost, args, rows) => {
      await pool.query(`SET plan_cache_mode = ${mode}`);
      await pool.query(`PREPARE load (text[], text, bytea, text[], bigint) AS ${namedSql('load')}`);
      const answer = await pool.query(`EXECUTE load (${args})`);
      const plan = await pool.query(`EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE load (${args})`);
      await pool.query('DEALLOCATE load');
      expect(answer.rows).toHaveLength(rows);
      const { most, isWholeTable } = touched(plan.rows[0]['QUERY PLAN'][0].Plan);
      expect(isWholeTable).toBe(false);
      expect(most).toBeLessThanOrEqual(atMost);
    });
  });

  describe.each(['force_generic_plan', 'force_custom_plan'])('as_of_time, %s', (mode) => {
    it.each([
      ['before the first', '2025-01-01T00:00:00Z', -1],
      ['within the first second', '2026-01-01T00:00:00.500Z', 998],
      ['in the middle', '2026-01-01T00:00:30Z', 30_998],
      ['after the last', '2026-01-02T00:00:00Z', FACTS - 101],
    ])('%s', async (_, time, logIndex) => {
      await pool.query(`SET plan_cache_mode = ${mode}`);
      await pool.query(`PREPARE as_of (timestamptz) AS ${namedSql('as_of_time')}`);
      const { rows } = await pool.query<{ log_index: number }>(`EXECUTE as_of ('${time}')`);
      const plan = await pool.query(`EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE as_of ('${time}')`);
      await pool.query('DEALLOCATE as_of');
      expect(rows[0]!.log_index).toBe(logIndex);
      expect(touched(plan.rows[0]['QUERY PLAN'][0].Plan)).toEqual({ isWholeTable: false, most: 1 });
    });
  });

  it('readStream', async () => {
    const [sql, values] = compiled((db) =>
      selectEvents(db).where('e.stream_id', '=', 'rollout-9').orderBy('e.stream_version'),
    );
    expect(await plan(sql, values)).toMatchObject({ isWholeTable: false, most: 20 });
  });

  it('readLog', async () => {
    const [sql, values] = compiled((db) => selectLog(db, 50_000, 500));
    expect(await plan(sql, values)).toMatchObject({ isWholeTable: false, most: 500 });
  });
});
