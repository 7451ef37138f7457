/** Our reused scope folds as XState documents it, and divergence is reported, never skipped. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { transition, type AnyMachineSnapshot } from 'xstate';
import { decode } from '../domain/events/codec.ts';
import type { StreamKind } from '../domain/events/streams.ts';
import { given, model, pools, rollout, T0, version } from './facts.fixture.ts';
import { machineOf } from './registry.ts';

const STREAMS: Record<StreamKind, string> = {
  model: 'model-m',
  version: 'version-m@1.1.0',
  training: 'training-r',
  rollout: 'rollout-1',
};
const kinds = Object.keys(machineOf) as StreamKind[];

describe.each(kinds)('the wrapper over the %s chart', (kind) => {
  const machine = machineOf[kind];
  const pool: readonly { readonly type: string; readonly data: unknown }[] = pools[kind];

  it('has a sample of every fact of its stream, and each fits its schema', () => {
    for (const fact of pool) expect(decode(STREAMS[kind], fact.type, 1, fact.data)).toMatchObject({ ok: true });
  });

  it('agrees with the documented transition() over random facts, legal and illegal', () => {
    let legal = 0;
    let illegal = 0;
    // Two of three steps take a fact that is legal where the walk stands, so that walks reach the last states.
    const walk = fc.array(fc.record({ pick: fc.nat(), isLegal: fc.constantFrom(true, true, false) }), {
      minLength: 20,
      maxLength: 40,
      size: 'max',
    });
    fc.assert(
      fc.property(walk, (steps) => {
        let ours = machine.initial();
        let theirs: AnyMachineSnapshot = ours.snapshot;
        steps.forEach(({ pick, isLegal }, i) => {
          // Safe: each machine is stepped with its own states only.
          const accepted = isLegal ? pool.filter((f) => !machine.propose(ours as never, [f], T0 + i).refused) : [];
          const from = accepted.length > 0 ? accepted : pool;
          const event = { ...from[pick % from.length]!, at: T0 + i, eventId: `e${i}`, version: i + 1 };
          const next = machine.step(ours as never, event);
          const [documented] = transition(machine.chart, theirs, event);
          if (next.divergence) {
            illegal += 1;
            expect(documented.value).toEqual(theirs.value);
            expect(documented.context).toEqual(theirs.context);
            return;
          }
          legal += 1;
          expect(next.snapshot.value).toEqual(documented.value);
          expect(next.context).toEqual(documented.context);
          expect(next.snapshot.status).toBe(documented.status);
          ours = next;
          theirs = documented;
        });
      }),
      { numRuns: 150 },
    );
    expect(legal).toBeGreaterThan(300);
    expect(illegal).toBeGreaterThan(100);
  });
});

describe('divergence', () => {
  it('is reported with its place, and everything after it is kept out of the state', () => {
    const facts = [version.drafted, version.published, version.trainingStarted];
    const state = facts.reduce(
      (s, fact, i) => machineOf.version.step(s, { ...fact, at: T0, eventId: `e${i}`, version: i + 1 }),
      machineOf.version.initial(),
    );
    expect(state.divergence).toEqual({ version: 2, eventId: 'e1', type: 'VersionPublished', state: 'Draft' });
    expect(state.state).toBe('Draft');
    expect(state.version).toBe(3);
  });

  it('is what a fact unknown to the chart is, in any state', () => {
    const state = machineOf.model.step(given(machineOf.model, [model.registered]), {
      type: 'ModelErased',
      data: {},
      at: T0,
      eventId: 'e9',
      version: 2,
    });
    expect(state.divergence).toMatchObject({ type: 'ModelErased', state: 'Registered' });
  });

  it('is not a self-transition that only keeps the record', () => {
    const ended = given(machineOf.rollout, [rollout.created(), rollout.aborted, rollout.rootCause, rollout.rootCause]);
    expect(ended.context.rootCauses).toHaveLength(2);
  });
});
