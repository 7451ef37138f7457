/** A rebuild equals live, goes on where it was cut short, and puts right what was altered. */
import { asOrgId } from '../domain/org.ts';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { historyFrom, openStage, type Stage } from '../test/properties/stage.ts';
import { readCheckpoint } from './checkpoint.ts';
import { quote } from './ddl.ts';
import { rebuild, rebuildAll, RebuildStopped } from './rebuild.ts';
import { projections } from './registry.ts';
import { add, factsTable, schemaOf, type Projection } from './table.ts';

const orgId = asOrgId('org_local');
let stage: Stage;
beforeEach(async () => {
  stage = await openStage();
});
afterEach(() => stage.close());

const options = () => ({ connectionString: stage.log.appUrl, log: stage.log.store, logger: stage.logger });
const named = (name: string) => projections.find((p) => p.name === name)!;
async function dumpAll() {
  const all = new Map<string, Record<string, unknown[]>>();
  for (const projection of projections) all.set(projection.name, await stage.dump(projection));
  return all;
}
const schemas = async () =>
  (
    await stage.log.admin.query<{ name: string }>(
      `SELECT nspname AS name FROM pg_namespace WHERE nspname LIKE 'rm!_%' ESCAPE '!' ORDER BY 1`,
    )
  ).rows.map((r) => r.name);

describe('a rebuild', () => {
  it('equals live for random histories, and leaves nothing behind', async () => {
    stage.follow();
    await stage.caughtUp(await stage.tell(historyFrom(21, 400)));
    const before = await dumpAll();
    const rebuilt = await rebuildAll(options());
    expect(rebuilt.map((r) => r.differences)).toEqual(projections.map(() => []));
    expect(await dumpAll()).toEqual(before);
    expect(await schemas()).toEqual(projections.map(schemaOf).sort());
  });

  it('makes every read model again from nothing', async () => {
    const running = stage.follow();
    await stage.caughtUp(await stage.tell(historyFrom(22, 300)));
    await running.stop();
    const before = await dumpAll();
    for (const projection of projections)
      await stage.log.admin.query(`DROP SCHEMA ${quote(schemaOf(projection))} CASCADE`);
    await rebuildAll(options());
    expect(await dumpAll()).toEqual(before);
  });

  it('begins anew by itself where the tables are dropped under a running projection', async () => {
    stage.follow();
    const head = await stage.tell(historyFrom(23, 200));
    await stage.caughtUp(head);
    const before = await dumpAll();
    for (const projection of projections)
      await stage.log.admin.query(`DROP SCHEMA ${quote(schemaOf(projection))} CASCADE`);
    await stage.caughtUp(head);
    expect(await dumpAll()).toEqual(before);
  });

  it('names what the live rows had wrong, and puts it right', async () => {
    stage.follow();
    await stage.caughtUp(await stage.tell(historyFrom(24, 200)));
    const before = await dumpAll();
    const { rows } = await stage.log.admin.query<{ at: string }>(
      `UPDATE ${schemaOf(named('catalog'))}.models SET description = 'tampered' WHERE model_id = 'm-0' AND valid_to IS NULL RETURNING valid_from AS at`,
    );
    await stage.log.admin.query(`DELETE FROM ${schemaOf(named('activity'))}.activity WHERE log_index = 5`);
    const catalog = await rebuild(named('catalog'), options());
    expect(catalog.differences).toMatchObject([
      {
        table: 'models',
        key: { model_id: 'm-0' },
        column: 'description',
        index: Number(rows[0]!.at),
        actual: 'tampered',
      },
    ]);
    const activity = await rebuild(named('activity'), options());
    expect(activity.differences).toMatchObject([
      { table: 'activity', key: { log_index: 5 }, column: null, actual: null },
    ]);
    expect(await dumpAll()).toEqual(before);
  });

  it('resumes where a cancelled one stood', async () => {
    await stage.tell(historyFrom(25, 2_500));
    const cancel = new AbortController();
    const activity = named('activity');
    const cancelled = rebuild(activity, {
      ...options(),
      log: {
        head: () => stage.log.store.head(),
        readLog: (after, limit) => stage.log.store.readLog(after, Math.min(limit, 100)),
      },
      signal: cancel.signal,
      onProgress: (_name, done) => done > 200 && cancel.abort(),
    });
    await expect(cancelled).rejects.toThrow('cancelled');
    const there = await readCheckpoint(stage.log.admin, `${schemaOf(named('activity'))}__next`);
    expect(Number(there?.log_index)).toBeGreaterThan(200);
    const first: number[] = [];
    const done = await rebuild(activity, { ...options(), onProgress: (_name, at) => void first.push(at) });
    expect(first[0]).toBeGreaterThan(Number(there?.log_index));
    expect(done.position).toBe(await stage.log.store.head());
    expect((await stage.dump(activity))['activity']).toHaveLength(done.position + 1);
  });

  it('swaps under load: the live one goes on, readers never go back', async () => {
    stage.follow();
    const history = historyFrom(26, 2_000);
    const half = Math.floor(history.length / 2);
    await stage.caughtUp(await stage.tell(history.slice(0, half)));
    const positions: number[] = [];
    let isDone = false;
    const watch = (async () => {
      while (!isDone) {
        const page = await stage.models.events({ orgId }, { limit: 1 });
        positions.push(page.position);
      }
    })();
    const told = stage.tell(history.slice(half));
    for (let round = 0; round < 3; round += 1) {
      for (const name of ['activity', 'pointers', 'rollouts']) {
        expect((await rebuild(named(name), options())).differences).toEqual([]);
      }
    }
    await stage.caughtUp(await told);
    isDone = true;
    await watch;
    expect(positions).toEqual([...positions].sort((a, b) => a - b));
    const again = await rebuildAll(options());
    expect(again.flatMap((r) => r.differences)).toEqual([]);
  });

  it('puts right what an earlier build could not apply, and names it as a difference', async () => {
    const seen = factsTable<{ type: string }>('seen', { columns: { type: 'text' } });
    let isBroken = true;
    const brittle: Projection = {
      name: 'brittle',
      version: 1,
      tables: [seen],
      needs: () => [],
      project(event) {
        if (isBroken && event.logIndex === 4) throw new Error('no');
        return [add(seen, { type: event.fact.type })];
      },
      subjectOf: ({ stream, version }) => `${stream}@${version}`,
    };
    const head = await stage.tell(historyFrom(27, 60));
    await rebuild(brittle, options());
    expect(await stage.dump(brittle)).toMatchObject({ set_aside: [{ log_index: '4', why: 'no' }] });
    // Another filling by the same build sets the same aside.
    expect((await rebuild(brittle, options())).differences).toEqual([]);
    isBroken = false;
    const { differences } = await rebuild(brittle, options());
    expect(differences.map(({ table, index }) => [table, index])).toEqual([
      ['seen', 4],
      ['set_aside', 4],
    ]);
    const { seen: rows, set_aside } = await stage.dump(brittle);
    expect([rows!.length, set_aside]).toEqual([head + 1, []]);
  });

  it('leaves the live one in place where the log has a gap', async () => {
    await stage.tell(historyFrom(28, 60));
    const catalog = named('catalog');
    await rebuild(catalog, options());
    const before = await stage.dump(catalog);
    await stage.log.admin.query('ALTER TABLE store.log DISABLE TRIGGER ALL; DELETE FROM store.log WHERE log_index = 3');
    const stopped = rebuild(catalog, options());
    await expect(stopped).rejects.toThrow(RebuildStopped);
    await expect(stopped).rejects.toMatchObject({ logIndex: 3 });
    expect(await stage.dump(catalog)).toEqual(before);
  });
});
