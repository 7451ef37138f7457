/** A new version of a read model is filled beside the old one: lists are whole all the while, and a kill costs nothing. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { asOrgId } from '../domain/org.ts';
import { historyFrom, openStage, type Stage } from '../test/properties/stage.ts';
import { until } from '../test/support/log.ts';
import { openSession } from '../store/connect.ts';
import { tryLock } from '../store/leader.ts';
import { catalog } from './catalog/project.ts';
import { readCheckpoint } from './checkpoint.ts';
import type { LogReader } from './applying.ts';
import { createPointerTable } from './pointerTable.ts';
import { pointers } from './pointers/project.ts';
import { createReadModels, type ReadModels } from './readModels.ts';
import { projections } from './registry.ts';
import { startProjections } from './runner.ts';
import { namedSql } from '../store/sql/namedSql.ts';
import { nextOf, schemaOf, type Projection } from './table.ts';

const orgId = asOrgId('org_local');
const earlier: Projection = { ...catalog, version: catalog.version - 1 };
const compatible: Projection = { ...catalog, readsFrom: earlier.version };
const NEXT = nextOf(schemaOf(catalog));
const history = historyFrom(71, 700);

let stage: Stage;
let models: ReadModels;
let close: () => Promise<void>;
let head: number;
/** The log as the filling sees it ends there. */
let gate: number;
let readFrom: number[];
const running: { stop(): Promise<void> }[] = [];

beforeEach(async () => {
  stage = await openStage();
  head = await stage.tell(history.slice(0, 500));
  gate = Math.floor(head / 2);
  readFrom = [];
  close = () => Promise.resolve();
});
afterEach(async () => {
  await Promise.all(running.splice(0).map((one) => one.stop()));
  await close();
  await stage.close();
});

const gated: LogReader = {
  readLog(after, limit) {
    readFrom.push(after);
    const most = Math.min(limit, gate - after);
    return most < 1 ? Promise.resolve([]) : stage.log.store.readLog(after, most);
  },
};
function fill(...filled: Projection[]) {
  const stop = new AbortController();
  const { signal } = stop;
  const { appUrl: connectionString } = stage.log;
  const { done } = startProjections({
    connectionString,
    log: gated,
    signal,
    logger: stage.logger,
    projections: filled,
  });
  const one = {
    async stop() {
      stop.abort();
      await done;
    },
  };
  running.push(one);
  return one;
}
/** An earlier build has filled its version up to the head, and has ended. */
async function filledEarlier(): Promise<void> {
  const before = stage.follow([earlier]);
  await until('the earlier version is filled', async () => {
    return Number((await readCheckpoint(stage.log.admin, schemaOf(earlier)))?.log_index ?? -1) === head;
  });
  await before.stop();
}
function reading(used: Projection): void {
  models = createReadModels({
    connectionString: stage.log.appUrl,
    projections: projections.map((one) => (one.name === 'catalog' ? used : one)),
  });
  close = () => models.close();
}
const filledTo = async () => Number((await readCheckpoint(stage.log.admin, NEXT))?.log_index ?? -1);
const schemas = async () =>
  (
    await stage.log.admin.query<{ nspname: string }>(
      `SELECT nspname FROM pg_namespace WHERE nspname LIKE 'rm!_catalog%' ESCAPE '!' ORDER BY 1`,
    )
  ).rows.map((row) => row.nspname);
const status = async () => (await models.status()).find((one) => one.name === 'catalog');

describe('a new version of a read model', () => {
  it('is filled beside the old one, which answers; goes on after a kill; then answers alone', async () => {
    await filledEarlier();
    reading(compatible);
    const before = await models.models({ orgId });
    expect([before.items.map((row) => row.name), before.position]).toEqual([['m-0', 'm-1'], head]);

    const killed = fill(compatible);
    await until('half is filled', async () => (await filledTo()) === gate);
    expect(await models.models({ orgId })).toEqual(before);
    expect(await models.model(orgId, 'm-0')).toEqual(before.items[0]);
    expect(await status()).toMatchObject({ position: head, filling: gate });
    await stage.log.admin.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'edgeml ' || $1`,
      [schemaOf(catalog)],
    );
    await killed.stop();

    const [half, least] = [gate, head];
    readFrom = [];
    gate = half + 20;
    fill(compatible);
    await until('it goes on', async () => (await filledTo()) === gate);
    expect(readFrom[0]).toBe(half);
    expect(await models.models({ orgId })).toEqual(before);

    head = await stage.tell(history.slice(500));
    gate = Number.POSITIVE_INFINITY;
    let lowest = Number.POSITIVE_INFINITY;
    await until('the new one answers', async () => {
      const { position } = await models.models({ orgId });
      lowest = Math.min(lowest, position);
      return position === head;
    });
    expect(lowest).toBe(least);
    await until('the old one is dropped', async () => (await schemas()).length === 1);
    expect(await schemas()).toEqual([schemaOf(catalog)]);
    expect(await status()).toMatchObject({ position: head, filling: null });
  });

  it('answers `starting` for its own lists alone, where the old rows cannot be read', async () => {
    await filledEarlier();
    reading(catalog);
    const others = stage.follow(projections.filter((one) => one.name !== 'catalog'));
    expect(await status()).toMatchObject({ position: -1, answers: false, filling: null }); // nobody has begun
    fill(catalog);
    await until('half is filled', async () => (await filledTo()) === gate);
    const starting = { code: 'starting', message: expect.stringContaining(`is at ${gate}`) as unknown };
    await expect(models.models({ orgId })).rejects.toMatchObject(starting);
    await expect(models.waitFor('catalog', -1, 20)).rejects.toMatchObject(starting);
    expect(await models.waitFor('rollouts', head, 10_000)).toBe(true);
    expect((await models.rollouts({ orgId })).position).toBe(head);
    expect(await status()).toMatchObject({ position: -1, filling: gate });
    gate = Number.POSITIVE_INFINITY;
    await until('it answers', async () => (await models.position('catalog')) === head);
    expect((await models.models({ orgId })).items).toHaveLength(2);
    await others.stop();
  });

  it('leaves an earlier version to the server that still leads it', async () => {
    await filledEarlier();
    reading(compatible);
    const other = await openSession(stage.log.appUrl, 'an earlier build');
    expect(await tryLock(other, schemaOf(earlier))).toBe(true);
    gate = Number.POSITIVE_INFINITY;
    const first = fill(compatible);
    await until('it answers', async () => (await status())?.filling === null);
    await until('it follows', () => readFrom.at(-1) === head);
    expect(await schemas()).toEqual([schemaOf(earlier), schemaOf(catalog)].sort());
    await first.stop();
    await other.end();
    fill(compatible);
    await until('it is dropped', async () => (await schemas()).length === 1);
  });
});

/** A registered model a fact. */
async function fill20000(): Promise<void> {
  const { admin, store } = stage.log;
  await admin.query(`
    INSERT INTO store.events (event_id, stream_id, stream_version, type, schema_version, machine, actor_kind, actor_id, command_id,
           command_seq, recorded_at, data)
    SELECT gen_random_uuid(), 'model-many-' || i, 1, 'ModelRegistered', 1, 'model@1', 'system', 'test', 'many ' || i, 1, now(),
           json_build_object('org_id', 'org_local', 'name', 'many-' || i, 'framework', 'f', 'use_case', 'u', 'description', '')
      FROM generate_series(1, 20000) i`);
  await until('all are in the log', async () => (await store.head()) === head + 20_000, 60_000);
  await admin.query('VACUUM ANALYZE store.events, store.log');
}

describe('the pointers of 20,000 models', () => {
  it('are told one by one while their read model is not there, and while it is half filled', async () => {
    const { admin } = stage.log;
    await fill20000();
    const last = head + 20_000;
    const stop = new AbortController();
    const open = () =>
      createPointerTable({ connectionString: stage.log.appUrl, signal: stop.signal, logger: stage.logger });
    const ask = async () => {
      const table = open();
      for (const name of ['many-1', 'many-20000']) {
        expect(await table.get(orgId, name)).toMatchObject({ pointer: { model_id: name } });
      }
      expect((await table.get(orgId, 'm-0'))?.pointer.epoch).toBeGreaterThan(0);
      return table;
    };
    const first = await ask();
    gate = Math.floor(last / 2);
    fill(pointers);
    await until('half is filled', async () => {
      const at = await readCheckpoint(admin, nextOf(schemaOf(pointers)));
      return Number(at?.log_index ?? -1) === gate;
    });
    const second = await ask();
    stop.abort();
    await Promise.all([first.done, second.done]);
  });

  it('cost the rows of the model that is asked for, under the plan for any model as under the one for this', async () => {
    const { admin } = stage.log;
    await fill20000();
    await admin.query(`PREPARE facts(text, bigint) AS ${namedSql('pointer_facts')}`);
    for (const mode of ['force_generic_plan', 'force_custom_plan']) {
      await admin.query(`SET plan_cache_mode = ${mode}`);
      const { rows } = await admin.query<{ 'QUERY PLAN': string }>(`EXPLAIN (ANALYZE) EXECUTE facts('many-7', -1)`);
      const plan = rows.map((row) => row['QUERY PLAN']).join('\n');
      expect(plan).not.toContain('Seq Scan');
      expect(plan).not.toContain('Rows Removed');
      expect(plan).not.toMatch(/actual time=\S+ rows=\d{2}/);
    }
  });
});
