/** Lists by page and as of a place; the pointer table against the log. */
import { asOrgId } from '../domain/org.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SequencedEvent } from '../domain/events/envelope.ts';
import { historyFrom, openStage, type Stage } from '../test/properties/stage.ts';
import { until } from '../test/support/log.ts';
import type { Page, PageRequest } from './page.ts';
import { createPointerTable } from './pointerTable.ts';
import { pointerRows } from './pointers/schema.ts';
import { projections } from './registry.ts';
import { createRows, projectInMemory } from './rows.ts';

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

  it('refuse a foreign cursor, and a place that the read model has not reached', async () => {
    const page = await stage.models.rollouts({ orgId }, { limit: 1 });
    const cursor = page.nextCursor!;
    await expect(stage.models.rollouts({ orgId, modelId: 'm-0' }, { cursor })).rejects.toMatchObject({
      code: 'bad_cursor',
    });
    await expect(stage.models.events({ orgId }, { cursor })).rejects.toMatchObject({ code: 'bad_cursor' });
    await expect(stage.models.rollouts({ orgId }, { cursor: 'x' })).rejects.toMatchObject({ code: 'bad_cursor' });
    await expect(stage.models.rollouts({ orgId }, { asOf: head + 1 })).rejects.toMatchObject({
      code: 'projection_behind',
    });
    await expect(stage.models.versions({ orgId, modelId: 'm-0' }, { asOf: head + 1 })).rejects.toMatchObject({
      code: 'projection_behind',
    });
  });

  it('wait until a fact is in, or until the time is up', async () => {
    expect(await stage.models.waitFor('catalog', head, 1_000)).toBe(true);
    expect(await stage.models.waitFor('catalog', head + 1, 40)).toBe(false);
    expect(await stage.models.status()).toEqual(
      projections.map(({ name }) => ({ name, position: head, stopped: null, setAside: { count: 0, first: [] } })),
    );
  });
});

describe('the pointer table', () => {
  it('holds every pointer at boot, follows what changes, and tells it', async () => {
    const stop = new AbortController();
    let ring: (() => void) | undefined;
    const table = await createPointerTable({
      connectionString: stage.log.appUrl,
      signal: stop.signal,
      logger: stage.logger,
      doorbell: (rung) => {
        ring = () => rung();
        return () => (ring = undefined);
      },
    });
    try {
      const expected = () => {
        const rows = createRows();
        for (const event of events)
          projectInMemory(
            projections.find((p) => p.name === 'pointers')!,
            event,
            rows,
          );
        return (id: string) => rows.get(pointerRows, id)?.pointer;
      };
      const at = expected();
      expect(table.position).toBe(head);
      for (const id of ['m-0', 'm-1']) expect(table.get(orgId, id)).toEqual(at(id));
      expect(table.get(orgId, 'nobody')).toBeUndefined();

      const told: (string | null)[] = [];
      table.onChange((changed) => void told.push(...changed.map((p) => p.model_id)));
      const register = { org_id: 'org_local', name: 'm-9', framework: 'f', use_case: 'u', description: '' };
      const registered = {
        commandId: 'm-9',
        facts: [{ stream: 'model-m-9', fact: { type: 'ModelRegistered', data: register } }],
      } as const;
      const last = await stage.tell([registered]);
      ring?.();
      await until('the table has it', () => table.get(orgId, 'm-9') !== undefined);
      expect(table.position).toBeGreaterThanOrEqual(last);
      expect(table.get(orgId, 'm-9')).toMatchObject({ model_id: 'm-9', epoch: last, stable: null });
      expect(told).toEqual(['m-9']);
      expect(await table.waitFor(last, 1_000)).toBe(true);
      expect(await table.waitFor(last + 1, 30)).toBe(false);
    } finally {
      stop.abort();
      await table.done;
    }
    expect(ring).toBeUndefined();
  });

  it('needs no bell, and is empty where nobody has filled the read model', async () => {
    const empty = await openStage();
    const stop = new AbortController();
    const table = await createPointerTable({
      connectionString: empty.log.appUrl,
      signal: stop.signal,
      logger: empty.logger,
    });
    try {
      expect([table.position, [...table.all()]]).toEqual([-1, []]);
      empty.follow();
      const last = await empty.tell(historyFrom(62, 80));
      await until('it polls', () => table.position >= last);
      expect(table.get(orgId, 'm-0')?.model_id).toBe('m-0');
    } finally {
      stop.abort();
      await table.done;
      await empty.close();
    }
  });

  it('follows the log itself: nobody fills the read model, or somebody fills it from the beginning', async () => {
    const bare = await openStage();
    const stop = new AbortController();
    const at = await bare.tell(historyFrom(63, 300));
    const connection = { connectionString: bare.log.appUrl, signal: stop.signal, logger: bare.logger };
    const table = await createPointerTable(connection);
    const expected = async () => {
      const rows = createRows();
      const pointers = projections.find((p) => p.name === 'pointers')!;
      for (const event of await bare.log.store.readLog(-1, 100_000)) projectInMemory(pointers, event, rows);
      return ['m-0', 'm-1'].map((id) => rows.get(pointerRows, id)?.pointer);
    };
    const held = () => ['m-0', 'm-1'].map((id) => table.get(orgId, id));
    try {
      expect(table.position).toBe(at);
      expect(held()).toEqual(await expected());
      let lowest = table.position;
      table.onChange((_changed, position) => (lowest = Math.min(lowest, position)));
      bare.follow();
      await bare.caughtUp(at);
      const last = await bare.tell(historyFrom(64, 100));
      expect(await table.waitFor(last, 10_000)).toBe(true);
      expect(held()).toEqual(await expected());
      expect(lowest).toBeGreaterThanOrEqual(at);
      expect(table.ageMs()).toBeLessThan(10_000);
    } finally {
      stop.abort();
      await table.done;
      await bare.close();
    }
  });
});
