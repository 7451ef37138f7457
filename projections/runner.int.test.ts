/** Read models follow the log, through kills, two leaders and facts they cannot apply. */
import { asLogIndex } from '../domain/brands.ts';
import { asOrgId } from '../domain/org.ts';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { SequencedEvent } from '../domain/events/envelope.ts';
import { historyFrom, openStage, type Stage } from '../test/properties/stage.ts';
import { until } from '../test/support/log.ts';
import { readCheckpoint } from './checkpoint.ts';
import { projections } from './registry.ts';
import { createRows, projectInMemory } from './rows.ts';
import { factsTable, add, nextOf, schemaOf, type Projection } from './table.ts';
import { versionRows } from './versions/schema.ts';
import { rolloutRows } from './rollouts/schema.ts';
import { models } from './catalog/schema.ts';

const orgId = asOrgId('org_local');
let stage: Stage;
beforeEach(async () => {
  stage = await openStage();
});
afterEach(() => stage.close());

const allEvents = () => stage.log.store.readLog(-1, 100_000);
const named = (name: string) => projections.find((p) => p.name === name)!;

/** What the pure functions make of the facts up to `at`. */
function foldedTo(projection: Projection, events: readonly SequencedEvent[], at: number) {
  const rows = createRows();
  for (const event of events.filter((e) => e.logIndex <= at)) projectInMemory(projection, event, rows);
  return rows;
}

describe('the runner', () => {
  it('fills every read model with what the pure functions make of the log', async () => {
    stage.follow();
    const head = await stage.tell(historyFrom(11, 500));
    await stage.caughtUp(head);
    const events = await allEvents();
    expect(events).toHaveLength(head + 1);
    for (const projection of projections) {
      const rows = createRows();
      for (const event of events) projectInMemory(projection, event, rows);
      const stored = await stage.dump(projection);
      for (const [table, { inserts }] of rows.take()) {
        const places = (list: readonly unknown[]) => list.map((r) => JSON.stringify(r)).sort();
        const kept = stored[table.name]!.map((row) => {
          const { valid_from, valid_to, log_index } = row as Record<string, string | null>;
          return { from: Number(valid_from ?? log_index), to: typeof valid_to === 'string' ? Number(valid_to) : null };
        });
        expect(places(kept)).toEqual(places(inserts.map(({ from, to }) => ({ from, to }))));
      }
    }
  });

  it('answers a list as of any index as a fold from the first fact would', async () => {
    stage.follow();
    const head = await stage.tell(historyFrom(12, 400));
    await stage.caughtUp(head);
    const events = await allEvents();
    const wellFormed = (value: unknown): unknown =>
      JSON.parse(JSON.stringify(value), (_k, v: unknown) =>
        typeof v === 'string' ? v.replace(/\0|\p{Surrogate}/gu, '\ufffd') : v,
      );
    const bare = (row: object) => {
      const { valid_from: _from, valid_to: _to, ...rest } = row as Record<string, unknown>;
      return rest;
    };
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: head }), async (at) => {
        const folded = foldedTo(named('versions'), events, at);
        for (const modelId of ['m-0', 'm-1']) {
          const listed = await stage.models.versions({ orgId, modelId }, { asOf: asLogIndex(at), limit: 500 });
          expect(listed.position).toBe(at);
          for (const row of listed.items) {
            expect(bare(row)).toEqual(wellFormed(folded.get(versionRows, modelId, row.version)));
          }
          const drafted = events.filter(
            (e) => e.logIndex <= at && e.fact.type === 'VersionDrafted' && e.stream.includes(modelId),
          );
          expect(listed.items).toHaveLength(drafted.length);
        }
        const rollouts = await stage.models.rollouts({ orgId }, { asOf: asLogIndex(at), limit: 500 });
        const foldedRollouts = foldedTo(named('rollouts'), events, at);
        for (const row of rollouts.items) {
          expect(bare(row)).toEqual(wellFormed(foldedRollouts.get(rolloutRows, row.rollout_id)));
        }
        const catalog = foldedTo(named('catalog'), events, at);
        for (const row of (await stage.models.models({ orgId }, { asOf: asLogIndex(at) })).items) {
          const { latest_version: _latest, ...stored } = bare(row);
          expect(stored).toEqual(wellFormed(catalog.get(models, row.model_id)));
        }
      }),
      { numRuns: 25, seed: 5 },
    );
  });

  it('loses and doubles nothing while its sessions are killed at random', async () => {
    stage.follow();
    const told = stage.tell(historyFrom(13, 2_500));
    let kills = 0;
    await until('twenty sessions were killed', async () => {
      const { rows } = await stage.log.admin.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
          WHERE datname = current_database() AND application_name LIKE 'edgeml rm!_%' ESCAPE '!' ORDER BY random() LIMIT 1`,
      );
      kills += rows.length;
      return kills >= 20;
    });
    const head = await told;
    await stage.caughtUp(head);
    const events = await allEvents();
    const activity = (await stage.dump(named('activity')))['activity']!;
    expect(activity.map((row) => Number((row as { log_index: string }).log_index))).toEqual(
      events.map((e) => e.logIndex),
    );
    // The same log into fresh rows by a runner that nobody kills.
    for (const projection of projections) {
      const live = await stage.dump(projection);
      const twin: Projection = { ...projection, version: 99 };
      const fresh = stage.follow([twin]);
      await until('the twin is there', async () => {
        const checkpoint = await readCheckpoint(stage.log.admin, schemaOf(twin));
        return Number(checkpoint?.log_index) >= head;
      });
      await fresh.stop();
      expect(await stage.dump(twin)).toEqual(live);
    }
  });

  it('sets aside a stream from the fact that cannot be applied, says so, and goes on with the others', async () => {
    const seen = factsTable<{ stream: string }>('seen', { columns: { stream: 'text' } });
    const brittle: Projection = {
      name: 'brittle',
      version: 1,
      tables: [seen],
      needs: () => [],
      project(event) {
        if (event.stream === 'model-m-0' && event.version === 2) throw new Error('no idea \0 what this is');
        return [add(seen, { stream: event.stream })];
      },
    };
    const running = stage.follow([brittle, named('catalog')]);
    const head = await stage.tell(historyFrom(14, 200));
    await until('both are at the head', () => running.states().every((s) => s.position === head));
    const events = await allEvents();
    const bad = events.filter((e) => e.stream === 'model-m-0' && e.version > 1).map((e) => e.logIndex);
    expect(bad.length).toBeGreaterThan(1);
    const { seen: rows, set_aside } = await stage.dump(brittle);
    expect(set_aside).toMatchObject(
      bad.map((at, i) => ({
        log_index: String(at),
        subject: 'model-m-0',
        why: i === 0 ? 'no idea \ufffd what this is' : `its subject is set aside since ${bad[0]}`,
      })),
    );
    expect(rows).toHaveLength(events.length - bad.length);
    expect(running.states().find((s) => s.name === 'brittle')).toMatchObject({ stopped: null, setAside: bad.length });
    const told = stage.lines.filter((l) => l.level === 'error');
    expect(told).toMatchObject([{ detail: { projection: 'brittle', subject: 'model-m-0', log_index: bad[0] } }]);
  });

  it('stops before a gap in the log, skips nothing, and goes on once it is closed', async () => {
    const head = await stage.tell(historyFrom(16, 100));
    const { admin } = stage.log;
    await admin.query(`ALTER TABLE store.log DISABLE TRIGGER ALL;
      CREATE TABLE kept AS SELECT * FROM store.log WHERE log_index = 7; DELETE FROM store.log WHERE log_index = 7`);
    const running = stage.follow([named('catalog')]);
    await until('it stopped', () => running.states().some((s) => s.stopped !== null));
    expect(running.states()).toMatchObject([{ position: 6, stopped: { at: 7 } }]);
    const checkpoint = await readCheckpoint(admin, nextOf(schemaOf(named('catalog'))));
    expect([Number(checkpoint?.log_index), Number(checkpoint?.stopped_at)]).toEqual([6, 7]);
    await admin.query('INSERT INTO store.log SELECT * FROM kept');
    await until('it goes on', () => running.states().some((s) => s.position === head));
  });

  it('has one leader; another takes over when it ends', async () => {
    const catalog = [named('catalog')];
    const first = stage.follow(catalog);
    await until('the first leads', () => first.states()[0]?.role === 'leading');
    const second = stage.follow(catalog);
    const head = await stage.tell(historyFrom(15, 60));
    await until('the first is there', () => first.states()[0]?.position === head);
    expect(second.states()[0]).toMatchObject({ role: 'standby', position: -1 });
    await first.stop();
    await until('the second leads', () => second.states()[0]?.role === 'leading');
    expect(second.states()[0]?.position).toBe(head);
  });
});
