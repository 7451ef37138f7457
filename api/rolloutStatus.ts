/** The words of both APIs for where a rollout stands. */
import { widthAt } from '../domain/rollout/assignment.ts';
import { ROLLOUT_STATES, type RolloutStateName } from '../domain/states.ts';
import { clockMs } from '../domain/rollout/stageClock.ts';
import type { RolloutState } from '../machines/rollout.ts';
import type { RolloutStatus } from '../wire/rollout.ts';

const STATUS: Readonly<Record<RolloutStateName, RolloutStatus>> = {
  Pending: 'pending',
  Active: 'active',
  Held: 'held',
  Paused: 'paused',
  Completed: 'completed',
  RolledBack: 'rolled_back',
  Aborted: 'aborted',
};
export const rolloutStatus = (state: RolloutStateName): RolloutStatus => STATUS[state];
/** The machine's name of a status: how lists filter. */
export const stateOfStatus = (status: RolloutStatus): RolloutStateName =>
  ROLLOUT_STATES.find((state) => STATUS[state] === status)!; // each status is the word of one state

/** Percent of the cohort that is in at `at`: the ramp of the stage counted by its clock. 0 once devices went back. */
export function percentNow({ state, context }: RolloutState, at: number): number {
  if (state === 'RolledBack' || state === 'Aborted') return 0;
  const { entered } = context;
  if (!entered) return 0;
  const { from, to, ramp_ms } = entered;
  return widthAt({ from, to, rampMs: ramp_ms, clockMs: clockMs(context.clock, at) }) / 100;
}
