/** /readyz judges by the database what stopped, in whatever process; it stays 200. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createReadModels } from '../../projections/readModels.ts';
import { partsInDatabase } from '../../api/readiness.ts';
import { startProjections } from '../../projections/runner.ts';
import { runSequencer } from '../../relay/sequencer.ts';
import { createPool } from '../../store/connect.ts';
import { queryableOf } from '../../store/queryable.ts';
import { openLog, request, until, type LogFixture } from '../support/log.ts';

let log: LogFixture;
beforeAll(async () => {
  log = await openLog();
});
afterAll(() => log.close());
const quiet = { info: () => undefined, warn: () => undefined, error: () => undefined };

describe('readiness', () => {
  it('names each part that stands, from facts that wait for it, and forgets it once they are taken', async () => {
    const connectionString = log.appUrl;
    const pool = createPool({ connectionString, max: 2 });
    const reads = createReadModels({ connectionString });
    let ageMs = 0;
    const parts = () => partsInDatabase(queryableOf(pool), reads, { ageMs: () => ageMs });
    const named = async () =>
      (await parts()).filter((part) => part.state !== 'ok' && part.state !== 'starting').map((part) => part.name);
    const stop = new AbortController();
    const loops: Promise<unknown>[] = [];
    try {
      expect(await named()).toEqual([]);
      // No list can be answered before somebody fills it.
      expect((await parts()).filter((part) => part.state === 'starting')).toHaveLength(6);
      await log.store.append(request({ 'rollout-1': 'none' }));
      expect(await named()).toEqual([]);
      await until('the sequencer is missed', async () => (await named()).includes('sequencer'));
      loops.push(runSequencer({ connectionString, signal: stop.signal, log: quiet }));
      await until('the sequencer is back', async () => !(await named()).includes('sequencer'));
      // Nobody relays, and nobody fills the read models.
      await until('they are missed', async () => (await named()).length > 7, 30_000);
      expect(await named()).toEqual([
        ...['relay nats', 'relay temporal', 'projection pointers', 'projection catalog', 'projection versions'],
        ...['projection rollouts', 'projection training', 'projection activity'],
      ]);
      loops.push(startProjections({ connectionString, log: log.store, signal: stop.signal, logger: quiet }).done);
      // The fact belongs to a rollout that was never created: three cannot apply it, and say so.
      await until('the others are back', async () => !(await named()).includes('projection catalog'));
      await log.admin.query(`INSERT INTO store.followers VALUES ('nats', 0), ('temporal', 0)`);
      await until('relays are back', async () => !(await named()).some((name) => name.startsWith('relay')));
      await until('all is told', async () => (await named()).length === 3);
      expect(await named()).toEqual(['projection pointers', 'projection rollouts', 'projection activity']);
      ageMs = Number.POSITIVE_INFINITY;
      expect(await named()).toContain('pointers');
    } finally {
      stop.abort();
      await Promise.all(loops);
      await reads.close();
      await pool.end();
    }
  });
});
