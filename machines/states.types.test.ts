/** What the compiler refuses of states. Each `@ts-expect-error` fails the type check where its line would compile. */
import { expect, it } from 'vitest';
import { setup } from 'xstate';
import type { LifecycleState, RolloutStateName, VersionStateName } from '../domain/states.ts';
import { exists, wrap, type Existing, type Machine, type StateNameOf } from './fold.ts';
import { howToPublish, isUsable, lifecycleState, type VersionState } from './modelVersion.ts';
import { isLive, rolloutMachine, type RolloutContext, type RolloutState } from './rollout.ts';
import { runStatus } from './trainingRun.ts';

const chart = setup({}).createMachine({ initial: 'None', states: { None: {}, Pending: {}, Active: {} } });

declare const version: VersionState;
declare const rollout: RolloutState;
declare function shown(existing: Existing<VersionState>): void;

/** Never called: only its types matter. */
export function impossible() {
  const { context } = rolloutMachine;
  wrap<RolloutContext, StateNameOf<typeof chart, 'None' | 'Pending'>>('x@1', chart, context);
  // @ts-expect-error the list has a state that the chart has not
  wrap<RolloutContext, StateNameOf<typeof chart, 'None' | 'Held'>>('x@1', chart, context);
  // @ts-expect-error the chart has a state that the list has not
  const machine: Machine<RolloutContext, 'None' | 'Pending'> = wrap<
    RolloutContext,
    StateNameOf<typeof chart, 'None' | 'Pending'>
  >('x@1', chart, context);
  // @ts-expect-error a word for each state, also for Held and Paused
  const words: Record<RolloutStateName, string> = {
    Pending: '',
    Active: '',
    Completed: '',
    RolledBack: '',
    Aborted: '',
  };
  // @ts-expect-error no chart has such a state
  isLive('Halted');
  // @ts-expect-error a version is never Active
  isUsable(rollout.state);
  // @ts-expect-error a draft is not deployed: only what is usable is past publishing
  if (isUsable(version.state)) void (version.state === 'Draft');
  // @ts-expect-error a version that is live has been published
  howToPublish('Deployed.live');
  // @ts-expect-error a version that was never drafted has no word
  lifecycleState(version.state);
  // @ts-expect-error nor a view
  shown(version);
  if (exists(version)) shown(version);
  // @ts-expect-error regions are joined in the order of the chart
  runStatus('Running.round.closed+control.active');
  // @ts-expect-error a word of the product is no state of the chart
  const state: VersionStateName = 'Trained' satisfies LifecycleState;
  return [machine, words, state];
}

it('names the state before any fact', () => {
  expect(exists(rolloutMachine.initial())).toBe(false);
});
