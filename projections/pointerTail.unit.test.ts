/** Pointers in memory: what comes while one is read, who makes room, and what is not held. */
import { describe, expect, it } from 'vitest';
import { createPointers, unknownPointer, type HeldPointer, type TailRow } from './pointerTail.ts';

const at = new Date('2026-01-01T00:00:00.000Z');
function row(log_index: number, stream_id: string, type: string, data: object): TailRow {
  return {
    ...{ event_id: `e${log_index}`, stream_id, stream_version: log_index + 1, type, schema_version: 1, machine: 'm@1' },
    ...{ actor_kind: 'system', actor_id: 'test', command_id: `c${log_index}`, command_seq: 1, recorded_at: at },
    ...{ correlation_id: null, causation_id: null, data: JSON.stringify(data), log_index, sequenced_at: at },
  };
}
const registered = (log_index: number, model: string) =>
  row(log_index, `model-${model}`, 'ModelRegistered', {
    ...{ org_id: 'org_local', name: model, framework: 'f', use_case: 'u', description: '' },
  });
const stable = (log_index: number, model: string, version: string) =>
  row(log_index, `model-${model}`, 'StableVersionChanged', { version, previous: null, rollout_id: 1 });

/** What a reading up to there finds. */
function found(...rows: TailRow[]): HeldPointer {
  const one = createPointers(1);
  one.hold('a', unknownPointer());
  rows.forEach((each) => one.apply(each));
  return one.get('a')!;
}
const stableOf = (held: HeldPointer | undefined) => held?.pointer?.stable;

describe('pointers in memory', () => {
  it('hold what came while they were read, whether or not the reading saw it', () => {
    const [first, second, third] = [registered(0, 'a'), stable(1, 'a', '1.0.0'), stable(2, 'a', '1.1.0')];
    for (const seen of [[first], [first, second], [first, second, third]]) {
      const held = createPointers(2);
      const other = held.begin();
      held.apply(first);
      other.end();
      const reading = held.begin();
      held.apply(second);
      held.begin().end(); // another that ends sooner takes nothing away
      held.apply(third);
      reading.hold('a', found(...seen));
      reading.end();
      expect(held.get('a')?.pointer).toEqual(found(first, second, third).pointer);
      held.apply(stable(3, 'a', '1.2.0'));
      expect(stableOf(held.get('a'))).toBe('1.2.0');
    }
  });

  it('make room for the one that is asked for now', () => {
    const held = createPointers(2);
    for (const model of ['a', 'b']) held.hold(model, unknownPointer());
    held.get('a');
    held.hold('c', unknownPointer());
    expect(['a', 'b', 'c'].map((model) => held.get(model) !== undefined)).toEqual([true, false, true]);
  });

  it('are changed by no fact of a model that is not held, also where nobody can read it', () => {
    const held = createPointers(2);
    held.hold('a', found(registered(0, 'a')));
    const before = held.get('a');
    held.apply(registered(1, 'b'));
    held.apply(row(2, 'model-b', 'StableVersionChanged', { version: 7 }));
    expect([held.get('a'), held.get('b')]).toEqual([before, undefined]);
    held.apply(row(3, 'model-a', 'StableVersionChanged', { version: 7 }));
    held.apply(stable(4, 'a', '1.0.0'));
    expect(held.get('a')).toMatchObject({ missesSince: 3, pointer: { stable: null } });
  });
});
