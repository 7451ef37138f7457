/** Lists by page and as of a place. */
import { asLogIndex } from '../domain/brands.ts';
import { asOrgId } from '../domain/org.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SequencedEvent } from '../domain/events/envelope.ts';
import { historyFrom, openStage, type Stage } from '../test/properties/stage.ts';
import { until } from '../test/support/log.ts';
import type { Page, PageRequest } from './page.ts';
import { createReadModels } from './readModels.ts';
import { projections } from './registry.ts';
import { latestOf } from '../domain/semver.ts';

const orgId = asOrgId('org_local');
let stage: Stage;
let head: number;
let events: SequencedEvent[];
beforeAll(async () => {
  stage = await openStage();
  stage.follow();
  head = await stage.tell(historyFrom(61, 1_200));
  await stage.caughtUp(head);
  events = await stage.log.store.readLog(-1, 100_000);
});
afterAll(() => stage.close());

it('ends its connections, also where no list was ever asked', async () => {
  const models = createReadModels({ connectionString: stage.log.appUrl });
  const count = async () => {
    const { rows } = await stage.log.admin.query<{ n: number }>(
      `SELECT count(*)::int AS n FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'edgeml read models'`,
    );
    return rows[0]!.n;
  };
  const before = await count();
  expect(await models.position('catalog')).toBeGreaterThan(0);
  expect(await count()).toBe(before + 1);
  await models.close();
  await until('its connection is gone', async () => (await count()) === before);
});

async function allPages<T>(read: (page: PageRequest) => Promise<Page<T>>, limit: number): Promise<T[]> {
  const items: T[] = [];
  let page = await read({ limit });
  for (;;) {
    expect(page.items.length).toBeLessThanOrEqual(limit);
    items.push(...page.items);
    if (page.nextCursor === null) return items;
    page = await read({ limit, cursor: page.nextCursor });
  }
}

describe('lists', () => {
  it('page through everything once, in order', async () => {
    const ids = (list: readonly { rollout_id: number }[]) => list.map((r) => r.rollout_id);
    const rollouts = await allPages((page) => stage.models.rollouts({ orgId }, page), 3);
    const created = events.flatMap((e) => (e.fact.type === 'RolloutCreated' ? [Number(e.stream.slice(8))] : []));
    expect(ids(rollouts)).toEqual(created.toSorted((a, b) => b - a));
    const runs = await allPages((page) => stage.models.runs({ orgId }, page), 2);
    expect(new Set(runs.map((r) => r.run_id)).size).toBe(
      events.filter((e) => e.fact.type === 'TrainingRequested').length,
    );
    const models = await allPages((page) => stage.models.models({ orgId }, page), 1);
    expect(models.map((m) => m.name)).toEqual(['m-0', 'm-1']);
    expect((await stage.models.models({ orgId: asOrgId('another') })).items).toEqual([]);
    expect((await stage.models.models({ orgId, nameContains: 'M-1' })).items).toHaveLength(1);
    expect((await stage.models.models({ orgId, nameContains: '%' })).items).toEqual([]);
  });

  it('count the rounds of a run as of the page', async () => {
    for (const run of (await stage.models.runs({ orgId, modelId: 'm-0' })).items) {
      const facts = await stage.models.roundFacts(orgId, run.run_id);
      expect(run.rounds_done).toBe(facts.items.filter((f) => f.type === 'RoundAggregated').length);
      const own = events.filter(
        (e) => e.stream === `training-${run.run_id}` && 'round' in e.fact.data && 'attempt' in e.fact.data,
      );
      expect(facts.items.map((f) => f.log_index)).toEqual(own.map((e) => e.logIndex));
    }
  });

  it('find facts by kind, type, model and actor, in both directions', async () => {
    const paged = await allPages((page) => stage.models.events({ orgId }, page), 100);
    expect(paged).toEqual(events);
    const ofModel = await allPages((page) => stage.models.events({ orgId, modelId: 'm-1', kind: 'rollout' }, page), 7);
    const owner = new Map(
      events.flatMap((e) => (e.fact.type === 'RolloutCreated' ? [[e.stream, e.fact.data.model_id]] : [])),
    );
    expect(ofModel).toEqual(events.filter((e) => owner.get(e.stream) === 'm-1'));
    const newest = await stage.models.events({ orgId, type: 'VersionPublished', isNewestFirst: true, actorId: 'test' });
    expect(newest.items).toEqual(
      events
        .filter((e) => e.fact.type === 'VersionPublished')
        .toReversed()
        .slice(0, 50),
    );
    expect((await stage.models.events({ orgId, actorId: 'nobody' })).items).toEqual([]);
    expect((await stage.models.events({ orgId, from: head })).items).toEqual([events.at(-1)]);
  });

  it('tell live rollouts, what was judged, and lineage', async () => {
    const live = await stage.models.rollouts({ orgId, isLive: true });
    const all = await allPages((page) => stage.models.rollouts({ orgId }, page), 50);
    expect(live.items).toEqual(all.filter((r) => ['Active', 'Held', 'Paused'].includes(r.state)));
    const judged = events.find((e) => e.fact.type === 'HealthJudged')!;
    const judgements = await stage.models.judgements(orgId, Number(judged.stream.slice(8)));
    expect(judgements.items[0]).toMatchObject({ log_index: judged.logIndex, judgement: judged.fact.data });
    const { items } = await stage.models.lineage({ orgId, modelId: 'm-0' }, { limit: 500 });
    const drafted = events.filter((e) => e.fact.type === 'VersionDrafted' && e.stream.startsWith('version-m-0@'));
    expect(items).toHaveLength(drafted.length);
    expect(items.flatMap((n) => n.rollouts.map((r) => r.id)).toSorted((a, b) => a - b)).toEqual(
      all
        .filter((r) => r.model_id === 'm-0')
        .map((r) => r.rollout_id)
        .toSorted((a, b) => a - b),
    );
  });

  it('tell the latest version as of every fact that moves it, also where it falls back', async () => {
    const listed: string[] = [];
    const rolledBack = new Set<string>();
    let falls = 0;
    let before: string | undefined;
    for (const { stream, fact, logIndex } of events) {
      if (fact.type === 'VersionListed' && stream === 'model-m-0') listed.push(fact.data.version);
      else if (fact.type === 'VersionRolledBack' && stream.startsWith('version-m-0@')) rolledBack.add(stream.slice(12));
      else continue;
      const latest = latestOf(listed.filter((v) => !rolledBack.has(v)));
      const row = await stage.models.model(orgId, 'm-0', logIndex);
      expect([row?.latest_version, row?.version_count]).toEqual([latest ?? null, listed.length]);
      if (before !== undefined && latest !== before && !listed.slice(-1).includes(latest ?? '')) falls += 1;
      before = latest;
    }
    expect(falls).toBeGreaterThan(0);
    const page = await stage.models.models({ orgId });
    for (const row of page.items) {
      expect(row).toMatchObject({
        latest_version: (await stage.models.model(orgId, row.model_id))!.latest_version,
      });
    }
  });

  it('refuse a foreign cursor, and a place that the read model has not reached', async () => {
    const page = await stage.models.rollouts({ orgId }, { limit: 1 });
    const cursor = page.nextCursor!;
    await expect(stage.models.rollouts({ orgId, modelId: 'm-0' }, { cursor })).rejects.toMatchObject({
      code: 'bad_cursor',
    });
    await expect(stage.models.events({ orgId }, { cursor })).rejects.toMatchObject({ code: 'bad_cursor' });
    await expect(stage.models.rollouts({ orgId }, { cursor: 'x' })).rejects.toMatchObject({ code: 'bad_cursor' });
    await expect(stage.models.rollouts({ orgId }, { asOf: asLogIndex(head + 1) })).rejects.toMatchObject({
      code: 'projection_behind',
    });
    await expect(
      stage.models.versions({ orgId, modelId: 'm-0' }, { asOf: asLogIndex(head + 1) }),
    ).rejects.toMatchObject({
      code: 'projection_behind',
    });
  });

  it('wait until a fact is in, or until the time is up', async () => {
    expect(await stage.models.waitFor('catalog', head, 1_000)).toBe(true);
    expect(await stage.models.waitFor('catalog', head + 1, 40)).toBe(false);
    expect(await stage.models.status()).toEqual(
      projections.map(({ name }) => ({
        ...{ name, position: head, answers: true, filling: null, stopped: null },
        setAside: { count: 0, first: [] },
      })),
    );
  });
});
