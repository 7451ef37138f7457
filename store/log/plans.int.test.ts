/** Hot queries touch what they give, at a size where the planner tells the truth. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Kysely, PostgresDialect } from 'kysely';
import { openLog, type LogFixture } from '../../test/support/log.ts';
import { createPool, type Pool } from '../connect.ts';
import { namedSql } from '../sql/namedSql.ts';
import { selectEvents, selectLog, type LogDatabase } from './tables.ts';

const FACTS = 60_000;
let log: LogFixture;
let pool: Pool;
beforeAll(async () => {
  log = await openLog();
  pool = createPool({ connectionString: log.appUrl, max: 1 });
  await log.admin.query(`
    INSERT INTO store.events (event_id, stream_id, stream_version, type, schema_version, machine, actor_kind, actor_id, command_id,
        command_seq, recorded_at, data, xid)
    SELECT gen_random_uuid(), 'rollout-' || i / 20 + 1, i % 20 + 1, 'RolloutAborted', 1, 'rollout@1', 'system', 'test', 'c' || i, 1,
        now(), '{"reason":"x"}', (1 + i / 200)::text::xid8 FROM generate_series(0, ${FACTS - 1}) i`);
  await log.admin.query(`
    INSERT INTO store.log SELECT position - 1, position, sha256(''), now() + position * interval '1 ms' FROM store.events
     WHERE position <= ${FACTS - 100}`);
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
  visit(rows[0]['QUERY PLAN'][0].Plan);
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
    ['load', 200, namedSql('load'), [['rollout-7', 'rollout-2999'], 'c40000', null]],
    ['load of an unknown command', 60, namedSql('load'), [['rollout-7'], 'none', null]],
    ['sequencer_read at the tail', 100, namedSql('sequencer_read'), [1, 'XID', FACTS - 100, 1000]],
    ['sequencer_waiting', 1, namedSql('sequencer_waiting'), [1, 'XID', FACTS - 100]],
    ['sequencer_lag', 1, namedSql('sequencer_lag'), []],
    ['as_of_time', 1, namedSql('as_of_time'), ['2020-01-01T00:00:00Z']],
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
