/** What the compiler refuses of the pointer. Each `@ts-expect-error` fails the type check where its line would compile. */
import { expect, it } from 'vitest';
import { isLiveRollout, type PendingRollout, type PointerRollout, type StartedRollout } from './pointer.ts';

const of = {
  id: 1,
  version: '1.1.0',
  lo: 0,
  cohort: null,
  exclude: null,
  evidence: null,
  hold: null,
  on_regressed: 'rollback',
  stage: -1,
} as const;
const pending: PendingRollout = { ...of, status: 'pending', seed: null, threshold: null, pause_cause: null };

declare const rollout: PointerRollout;

/** Never called: only its types matter. */
export function impossible() {
  // @ts-expect-error a paused rollout says why
  const paused: StartedRollout = { ...of, status: 'paused', seed: '1', threshold: null, pause_cause: null };
  // @ts-expect-error and one that runs has no reason to
  const active: StartedRollout = { ...of, status: 'active', seed: '1', threshold: null, pause_cause: 'manual' };
  // @ts-expect-error one that has not started has no seed
  const drawn: PendingRollout = { ...pending, seed: '1' };
  // @ts-expect-error nobody is told one of which it is not known that it is live
  const seed: string = rollout.seed;
  return [paused, active, drawn, seed];
}

it('is not live before its first stage', () => {
  const started: PointerRollout = { ...of, status: 'active', seed: '1', threshold: null, pause_cause: null };
  expect([pending, started].map(isLiveRollout)).toEqual([false, false]);
});
