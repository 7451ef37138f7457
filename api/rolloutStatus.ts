/** The words of both doors for where a rollout stands. */
import { widthAt } from '../domain/rollout/assignment.ts';
import { clockMs } from '../domain/rollout/stageClock.ts';
import type { RolloutState } from '../machines/rollout.ts';
import type { RolloutStatus } from '../wire/rollout.ts';

const STATUS: Readonly<Record<string, RolloutStatus>> = {
  Pending: 'pending',
  Active: 'active',
  Held: 'held',
  Paused: 'paused',
  Completed: 'completed',
  RolledBack: 'rolled_back',
  Aborted: 'aborted',
};
export const rolloutStatus = (state: string): RolloutStatus => STATUS[state] ?? 'pending';
/** The machine's name of a status: how lists filter. */
export const stateOfStatus = (status: RolloutStatus): string =>
  Object.keys(STATUS).find((state) => STATUS[state] === status) ?? status;

/** Percent of the cohort that is in at `at`: the ramp of the stage counted by its clock. 0 once devices went back. */
export function percentNow({ state, context }: RolloutState, at: number): number {
  if (state === 'RolledBack' || state === 'Aborted') return 0;
  const { entered } = context;
  if (!entered) return 0;
  const { from, to, ramp_ms } = entered;
  return widthAt({ from, to, rampMs: ramp_ms, clockMs: clockMs(context.clock, at) }) / 100;
}
