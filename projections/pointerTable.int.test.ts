/** What devices are told from: one model's pointer at a time, whatever the read model holds, against the fold of the log. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { asOrgId } from '../domain/org.ts';
import type { Pointer } from '../domain/rollout/pointer.ts';
import { historyFrom, openStage, type Stage } from '../test/properties/stage.ts';
import { appendUnchecked, until } from '../test/support/log.ts';
import { createPointerTable, type PointerTable } from './pointerTable.ts';
import { pointers } from './pointers/project.ts';
import { pointerRows } from './pointers/schema.ts';
import { rebuild } from './rebuild.ts';
import { createRows, projectInMemory } from './rows.ts';
import { schemaOf } from './table.ts';

const orgId = asOrgId('org_local');
const MODELS = ['m-0', 'm-1'];
const history = historyFrom(63, 1_000);
let stage: Stage;
let stop = new AbortController();
const tables: PointerTable[] = [];
beforeAll(async () => {
  stage = await openStage();
});
afterEach(async () => {
  stop.abort();
  await Promise.all(tables.splice(0).map((table) => table.done));
  stop = new AbortController();
});
afterAll(() => stage.close());

function open(options: { on?: Stage; most?: number } = {}): PointerTable {
  const { on = stage, ...rest } = options;
  const table = createPointerTable({
    connectionString: on.log.appUrl,
    signal: stop.signal,
    logger: on.logger,
    ...rest,
  });
  tables.push(table);
  return table;
}

/** What the whole log makes of each model. */
async function folded(on: Stage = stage): Promise<(Pointer | undefined)[]> {
  const rows = createRows();
  for (const event of await on.log.store.readLog(-1, 100_000)) projectInMemory(pointers, event, rows);
  return MODELS.map((id) => rows.get(pointerRows, id)?.pointer);
}
const told = (table: PointerTable) => Promise.all(MODELS.map(async (id) => (await table.get(orgId, id))?.pointer));

describe('the pointer table', () => {
  it('tells what the log says: nobody fills the read model, it is behind, or it is there', async () => {
    const at = await stage.tell(history.slice(0, 400));
    const table = open();
    expect(await told(table)).toEqual(await folded());
    expect(table.position).toBe(at);
    expect(table.ageMs()).toBeLessThan(10_000);
    expect(await table.get(orgId, 'nobody')).toBeUndefined();
    expect(await table.get(asOrgId('another'), 'm-0')).toBeUndefined();

    const filling = stage.follow([pointers]);
    await until('it is filled', async () => (await stage.models.position('pointers')) >= at);
    await filling.stop();
    expect(await told(open())).toEqual(await folded());

    const last = await stage.tell(history.slice(400, 600));
    expect(await told(open())).toEqual(await folded());
    expect(await table.waitFor(last, 10_000)).toBe(true);
    expect(await told(table)).toEqual(await folded());
    expect(await table.waitFor(last + 1, 30)).toBe(false);
  });

  it('misses no fact that comes while a pointer is read', async () => {
    const bare = await openStage();
    try {
      const whole = historyFrom(65, 1_500);
      await bare.tell(whole.slice(0, 100));
      let isTelling = true;
      const telling = bare.tell(whole.slice(100)).finally(() => (isTelling = false));
      const opened: PointerTable[] = [];
      while (isTelling) {
        // Each table reads while its tail goes on.
        const table = open({ on: bare });
        opened.push(table);
        await Promise.all([told(table), ...Array.from({ length: 5 }, () => table.refresh())]);
        if (opened.length >= 60) break;
      }
      const last = await telling;
      const expected = await folded(bare);
      for (const table of opened) {
        expect(await table.waitFor(last, 10_000)).toBe(true);
        expect(await told(table)).toEqual(expected);
      }
    } finally {
      stop.abort();
      await Promise.all(tables.map((table) => table.done));
      await bare.close();
    }
  });

  it('keeps what is held current by notifications or without, and reads anew what made room', async () => {
    const table = open({ most: 1 });
    await told(table);
    const last = await stage.tell(history.slice(600, 700));
    await until('it polls', () => table.position >= last);
    for (let round = 0; round < 3; round += 1) expect(await told(table)).toEqual(await folded());
  });

  it('reads anew after a rebuild, which may have put right what was altered', async () => {
    const at = await stage.log.store.head();
    const filling = stage.follow([pointers]);
    await until('it is filled', async () => (await stage.models.position('pointers')) >= at);
    const { admin } = stage.log;
    await admin.query(`UPDATE ${schemaOf(pointers)}.pointers SET pointer = jsonb_set(pointer, '{stable}', '"6.6.6"')`);
    const table = open();
    expect((await told(table))[0]?.stable).toBe('6.6.6');
    await rebuild(pointers, { connectionString: stage.log.appUrl, log: stage.log.store, logger: stage.logger });
    await until('it is right again', async () => (await told(table))[0]?.stable !== '6.6.6');
    expect(await told(table)).toEqual(await folded());
    await filling.stop();
  });

  it('sets aside a model by a fact that nobody can read, wherever it meets it; the other is told', async () => {
    const held = open();
    await told(held);
    await appendUnchecked(stage.log.admin, { stream: 'model-m-1', type: 'VersionListed', data: '{"version":7}' });
    const at = await stage.log.store.head().then((head) => head + 1);
    expect(await held.waitFor(at, 10_000)).toBe(true);
    for (const table of [held, open()]) {
      expect(await table.get(orgId, 'm-1')).toMatchObject({ missesSince: at });
      expect(await table.get(orgId, 'm-0')).toMatchObject({ missesSince: undefined });
    }
    const filling = stage.follow([pointers]);
    await until('it is filled', async () => (await stage.models.position('pointers')) >= at);
    await filling.stop();
    expect(await open().get(orgId, 'm-1')).toMatchObject({ missesSince: at });
  });

  it('is out of date before a gap in the log, and says so', async () => {
    const gapped = await openStage();
    try {
      const head = await gapped.tell(historyFrom(68, 60));
      const table = open({ on: gapped });
      await told(table);
      await gapped.log.admin.query('ALTER TABLE store.log DISABLE TRIGGER USER');
      await gapped.log.admin.query(`UPDATE store.log SET log_index = log_index + 1 WHERE log_index = $1`, [head]);
      const late = open({ on: gapped });
      await until('the fact is seen', async () => (await gapped.log.store.head()) === head + 1);
      expect(table.position).toBe(head);
      const filling = gapped.follow([pointers]);
      await until('the projection stands', async () => (await gapped.models.status())[0]!.stopped?.at === head);
      await filling.stop();
      await expect(late.refresh()).rejects.toMatchObject({ name: 'LogGap' });
      const fresh = open({ on: gapped });
      await fresh.get(orgId, 'm-0');
      expect(fresh.ageMs()).toBe(Number.POSITIVE_INFINITY);
    } finally {
      stop.abort();
      await Promise.all(tables.map((table) => table.done));
      await gapped.close();
    }
  });
});
