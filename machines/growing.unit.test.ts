/** A fold that changes its own lists in place gives what single steps give, copies none of them twice, and touches nobody else's. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { StoredEvent } from '../domain/events/envelope.ts';
import { historyOf, sequence } from '../test/properties/history.ts';
import { toFactEvent, type Folded, type Machine } from './fold.ts';
import { appended, movedToEnd, withLast, type OwnLists } from './growing.ts';
import { machineFor } from './registry.ts';

const moves = fc.array(fc.nat(100_000), { minLength: 100, maxLength: 400, size: 'max' });

function streamsOf(drawn: readonly number[]): [Machine<unknown>, StoredEvent[]][] {
  const events = sequence(historyOf(drawn));
  return [...new Set(events.map((e) => e.stream))].map((stream) => [
    machineFor(stream),
    events.filter((e) => e.stream === stream),
  ]);
}

/** By a single step each: every state along the way. */
function stepped(machine: Machine<unknown>, events: readonly StoredEvent[], own?: OwnLists): Folded<unknown>[] {
  const along = [machine.initial()];
  for (const event of events)
    along.push(machine.step(along.at(-1)!, { ...toFactEvent(event), ...(own ? { own } : {}) }));
  return along;
}

const listsOf = (context: unknown) =>
  Object.entries(context as Record<string, unknown>).filter((entry): entry is [string, unknown[]] =>
    Array.isArray(entry[1]),
  );

describe('a fold', () => {
  it('is what its single steps give, at every length, and changes none that was given out', () => {
    fc.assert(
      fc.property(moves, (drawn) => {
        for (const [machine, events] of streamsOf(drawn)) {
          const along = stepped(machine, events);
          const folds = along.map((_, n) => machine.fold(events.slice(0, n)));
          folds.forEach(({ state, context }, n) =>
            expect({ state, context }).toEqual({ state: along[n]!.state, context: along[n]!.context }),
          );
          for (const folded of folds) {
            const before = structuredClone(folded.context);
            for (const event of events) machine.step(folded, { ...toFactEvent(event), version: folded.version + 1 });
            expect(folded.context).toEqual(before);
          }
          expect(machine.initial().context).toEqual(along[0]!.context);
        }
      }),
      { numRuns: 8 },
    );
  });

  it('copies no list that it made: a list that grew once grows in place', () => {
    let inPlace = 0;
    fc.assert(
      fc.property(moves, (drawn) => {
        for (const [machine, events] of streamsOf(drawn)) {
          const made = new Map<string, unknown[]>();
          let folded = machine.initial();
          const own: OwnLists = new WeakMap();
          for (const event of events) {
            const lengths = new Map(listsOf(folded.context).map(([name, list]) => [name, list.length]));
            folded = machine.step(folded, { ...toFactEvent(event), own });
            for (const [name, list] of listsOf(folded.context)) {
              if (list.length !== lengths.get(name)! + 1 || name === 'uploaded' || name === 'requestedFormats')
                continue;
              if (made.has(name)) expect([name, list === made.get(name)]).toEqual([name, true]);
              inPlace += made.has(name) ? 1 : 0;
              made.set(name, list);
            }
          }
        }
      }),
      { numRuns: 20 },
    );
    expect(inPlace).toBeGreaterThan(10);
  });
});

describe('a list', () => {
  it('is copied without an owner, and by an owner that did not make it', () => {
    const given = Object.freeze(['a', 'b']);
    for (const own of [undefined, new WeakMap()]) {
      expect(appended(given, 'c', own)).toEqual(['a', 'b', 'c']);
      expect(withLast(given, (last) => `${last}!`, own)).toEqual(['a', 'b!']);
      expect(movedToEnd(given, 'a', own)).toEqual(['b', 'a']);
    }
    expect(() => withLast([], (last) => last)).toThrow('no last item');
  });

  it('without repeats stays so, whoever owns it', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(6)), (items) => {
        const own: OwnLists = new WeakMap();
        const naive = items.reduce<number[]>((list, item) => [...list.filter((i) => i !== item), item], []);
        expect(items.reduce<readonly number[]>((list, item) => movedToEnd(list, item, own), [])).toEqual(naive);
        expect(items.reduce<readonly number[]>((list, item) => movedToEnd(list, item), [])).toEqual(naive);
      }),
    );
  });
});
