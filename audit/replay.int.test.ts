/** A replay tells each fact with the states before and after it. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { machineFor } from '../machines/registry.ts';
import { historyFrom, openStage, type Stage } from '../test/properties/stage.ts';
import { foldAsOf, replay } from './replay.ts';

let stage: Stage;
let head: number;
beforeAll(async () => {
  stage = await openStage();
  head = await stage.tell(historyFrom(51, 600));
});
afterAll(() => stage.close());

describe('replay', () => {
  it('narrates each fact of each stream: the states chain, and end where the fold ends', async () => {
    const events = await stage.log.store.readLog(-1, 10_000);
    for (const stream of new Set(events.map((e) => e.stream))) {
      const told = await replay(stage.log.store, stream);
      const folded = machineFor(stream).fold(await stage.log.store.readStream(stream));
      expect(told).toMatchObject({ state: folded.state, version: folded.version });
      told.facts.forEach((fact, i) => {
        expect(fact.stateBefore).toBe(told.facts[i - 1]?.stateAfter ?? 'None');
        expect(fact.isDivergent).toBe(false);
        expect(fact.event.actor).toEqual({ kind: 'system', id: 'test' });
      });
    }
  });

  it('names the guards that let a fact through', async () => {
    const events = await stage.log.store.readLog(-1, 10_000);
    const entered = events.find((e) => e.fact.type === 'StageEntered')!;
    const told = await replay(stage.log.store, entered.stream);
    expect(told.facts.find((f) => f.event.id === entered.id)?.guards).toEqual(['nextStage']);
  });

  it('stops at a version, an index, an event or a time; each as the fold up to there', async () => {
    const events = await stage.log.store.readLog(-1, 10_000);
    const stream = events.find((e) => e.fact.type === 'StableVersionChanged')!.stream;
    const own = events.filter((e) => e.stream === stream);
    for (const [i, event] of own.entries()) {
      const byVersion = await replay(stage.log.store, stream, `version:${event.version}`);
      const byIndex = await replay(stage.log.store, stream, String(event.logIndex));
      const byEvent = await replay(stage.log.store, stream, `event:${event.id}`);
      const folded = await foldAsOf(stage.log.store, stream, event.logIndex);
      expect(byVersion.facts).toHaveLength(i + 1);
      expect(byIndex).toEqual(byVersion);
      expect(byEvent).toEqual(byVersion);
      expect(byVersion).toMatchObject({ state: folded.state, context: folded.context, version: folded.version });
    }
    const last = events.at(-1)!;
    expect((await replay(stage.log.store, stream, last.sequencedAt)).facts).toHaveLength(own.length);
  });

  it('refuses what is not there or not yet', async () => {
    const code = (run: Promise<unknown>) => expect(run).rejects;
    await code(replay(stage.log.store, 'nonsense')).toMatchObject({ code: 'stream_not_found' });
    await code(replay(stage.log.store, 'rollout-123456')).toMatchObject({ code: 'stream_not_found' });
    await code(replay(stage.log.store, 'model-m-0', 'version:100000')).toMatchObject({ code: 'as_of_in_future' });
    await code(replay(stage.log.store, 'model-m-0', String(head + 1))).toMatchObject({ code: 'as_of_in_future' });
  });
});
