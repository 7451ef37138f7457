/** A fold from a snapshot is the fold from the first fact, at any place of any history; what is damaged is refused. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { given, pools, rollout } from '../../machines/facts.fixture.ts';
import type { FactEvent, Folded, Machine } from '../../machines/fold.ts';
import { machineFor, machinesByName } from '../../machines/registry.ts';
import { rolloutMachine } from '../../machines/rollout.ts';
import { historyOf } from '../../test/properties/history.ts';
import { checksumOf, freeze, thaw, type Snapshot } from './snapshot.ts';

const place = { stream: 'rollout-1', fold: 'rollout@1:abc', version: 0, eventId: 'e' };
/** By machine name, without its version. */
const POOL: Readonly<Record<string, readonly { readonly type: string; readonly data: unknown }[]>> = {
  model: pools.model,
  modelVersion: pools.version,
  trainingRun: pools.training,
  rollout: pools.rollout,
};

/** Through text, as the database keeps it. @throws Error where it is not kept, or refused */
function throughText(machine: Machine<unknown>, folded: Folded<unknown>): Folded<unknown> {
  const kept = freeze(folded, { ...place, version: folded.version });
  if (!kept) throw new Error(`${machine.name} in ${folded.state} is not kept`);
  const back = thaw(machine, kept);
  if ('damaged' in back) throw new Error(`${machine.name} in ${folded.state}: ${back.damaged}`);
  return back;
}

const seen = ({ snapshot, ...rest }: Folded<unknown>) => ({ ...rest, value: snapshot.value, status: snapshot.status });

/** After each fact, from each snapshot: the same as without one. */
function holdsEverywhere(machine: Machine<unknown>, facts: readonly FactEvent[]): string[] {
  const states: string[] = [];
  const folds = [machine.initial()];
  for (const fact of facts) folds.push(machine.step(folds.at(-1)!, fact));
  folds.forEach((folded, from) => {
    if (folded.divergence) return void expect(freeze(folded, place)).toBeUndefined();
    states.push(folded.state);
    let resumed = throughText(machine, folded);
    facts.slice(from).forEach((fact, i) => {
      expect(machine.guardsMet(resumed, fact)).toEqual(machine.guardsMet(folds[from + i]!, fact));
      resumed = machine.step(resumed, fact);
      expect(seen(resumed)).toStrictEqual(seen(folds[from + i + 1]!));
    });
  });
  return states;
}

describe.each([...machinesByName.values()].map((m) => [m.name, m] as const))('%s', (name, machine) => {
  const pool = POOL[name.split('@')[0]!]!;

  it('goes on from any place of a random history, legal and illegal facts alike', () => {
    const reached = new Set<string>();
    const walk = fc.array(fc.record({ pick: fc.nat(), isLegal: fc.constantFrom(true, true, true, true, false) }), {
      minLength: 5,
      maxLength: 14,
      size: 'max',
    });
    fc.assert(
      fc.property(walk, (steps) => {
        let folded = machine.initial();
        const facts = steps.map(({ pick, isLegal }, i) => {
          const legal = isLegal ? pool.filter((fact) => !machine.propose(folded, [fact], i).refused) : [];
          const from = legal.length > 0 ? legal : pool;
          const fact = { ...from[pick % from.length]!, at: 1_000 + i, eventId: `e${i}`, version: i + 1 };
          folded = machine.step(folded, fact);
          return fact;
        });
        holdsEverywhere(machine, facts).forEach((state) => reached.add(state));
      }),
      { numRuns: 40 },
    );
    expect(reached.size).toBeGreaterThan(1);
  });
});

it('goes on from any place of whole histories that the commands made', () => {
  const folded = new Set<string>();
  fc.assert(
    fc.property(fc.array(fc.nat(), { minLength: 60, maxLength: 120, size: 'max' }), (moves) => {
      const byStream = new Map<string, FactEvent[]>();
      for (const { stream, fact } of historyOf(moves).flatMap((append) => append.facts)) {
        const facts = byStream.get(stream) ?? [];
        byStream.set(stream, facts);
        facts.push({ ...fact, at: 60_000 * facts.length, eventId: `e${facts.length}`, version: facts.length + 1 });
      }
      for (const [stream, facts] of byStream) {
        folded.add(machineFor(stream).name);
        holdsEverywhere(machineFor(stream), facts);
      }
    }),
    { numRuns: 6 },
  );
  expect([...folded].sort()).toEqual([...machinesByName.keys()].sort());
});

describe('what JSON would change is not kept', () => {
  const folded = given(rolloutMachine, [rollout.created()]);
  it.each([
    ['an undefined member', { at: undefined }],
    ['a Date', { at: new Date(0) }],
    ['a Map', { at: new Map([[1, 2]]) }],
    ['a Set', { at: new Set([1]) }],
    ['NaN', { at: NaN }],
    ['-0', { at: -0 }],
    ['a hole in an array', { at: [, 1] }],
    ['bytes', { at: Uint8Array.of(1) }],
  ])('%s', (_, member) => {
    const odd: Folded<unknown> = { ...folded, context: { ...folded.context, ...member } };
    expect(freeze(odd, place)).toBeUndefined();
    expect(freeze(folded, place)).toBeDefined();
  });
});

describe('what does not fit is refused', () => {
  const folded = given(rolloutMachine, [rollout.created(), rollout.started, rollout.entered(0)]);
  const good = freeze(folded, { ...place, version: 3 })!;
  const whole = JSON.parse(good.state) as { value: string; context: Record<string, unknown> };
  /** With the checksum that belongs to it: the other checks must refuse it. */
  const signed = (state: unknown): Snapshot => {
    const text = typeof state === 'string' ? state : JSON.stringify(state);
    return { ...good, state: text, checksum: checksumOf(good, text) };
  };

  it('comes back where nothing was touched', () => {
    expect(seen(thaw(rolloutMachine, good) as Folded<unknown>)).toStrictEqual(seen(folded));
  });

  it.each<[string, Partial<Snapshot>]>([
    ['another stream', { stream: 'rollout-2' }],
    ['another version', { version: 4 }],
    ['another fold', { fold: 'rollout@2:abc' }],
    ['another event', { eventId: 'f' }],
    ['another state', { state: good.state.replace('"stage":0', '"stage":1') }],
    ['another checksum', { checksum: '0'.repeat(64) }],
    ['no JSON', { state: good.state.slice(0, -1) }],
  ])('%s', (_, part) => {
    expect(thaw(rolloutMachine, { ...good, ...part })).toHaveProperty('damaged');
  });

  it.each<[string, unknown]>([
    ['no JSON', '{"value":'],
    ['null', null],
    ['no context', { value: 'Active' }],
    ['a context of another shape', { ...whole, context: { ...whole.context, stage: 'first' } }],
    ['a context with a member too many', { ...whole, context: { ...whole.context, extra: 1 } }],
    ['a context with a member too few', { ...whole, context: { ...whole.context, epoch: undefined } }],
    ['a state that the chart does not have', { ...whole, value: 'Flying' }],
    ['a state of parts that the chart does not have', { ...whole, value: { Active: 'x' } }],
    ['no state', { context: whole.context }],
  ])('%s, checksum and all', (_, state) => {
    expect(thaw(rolloutMachine, signed(state))).toHaveProperty('damaged');
  });

  it('half a state of a chart with parts', () => {
    const machine = machinesByName.get('trainingRun@1')!;
    const run = given(machine, [pools.training.find((f) => f.type === 'TrainingRequested')!]);
    const kept = freeze(run, place)!;
    const half = kept.state.replace(/"value":\{.*?\}\}?,"context"/, '"value":"Running","context"');
    expect(half).not.toBe(kept.state);
    expect(thaw(machine, { ...kept, state: half, checksum: checksumOf(kept, half) })).toHaveProperty('damaged');
  });
});
