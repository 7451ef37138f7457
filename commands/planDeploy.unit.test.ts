/** What a deploy by version and percentage means: the first rule that fits, in the order of the rules. */
import { describe, expect, it } from 'vitest';
import type { RolloutSpec } from '../domain/events/rollout.ts';
import { specFromSdkCall } from '../domain/rollout/spec.ts';
import { planDeploy, type DeployCall, type MetRollout } from './planDeploy.ts';

const NOW = 10_000_000;

function specOf(version: string, percent = 100): RolloutSpec {
  const parsed = specFromSdkCall({ version, rollout_percentage: percent, target_percentage: percent });
  if ('errors' in parsed) throw new Error(JSON.stringify(parsed.errors));
  return parsed.spec;
}
function rollout(
  id: number,
  state: string,
  version: string,
  more: { by?: string; age?: number; percent?: number } = {},
) {
  const { by = 'other', age = 0, percent } = more;
  const context = { version, spec: specOf(version, percent), createdAt: NOW - age };
  return { id, state: { state, context }, createdBy: by } as unknown as MetRollout; // the members that the plan reads
}
const call = (version: string, more: Partial<DeployCall> & { percent?: number } = {}): DeployCall => ({
  spec: specOf(version, more.percent),
  start: true,
  askedBy: 'me',
  now: NOW,
  stable: null,
  stableOrder: [],
  rollouts: [],
  ...more,
});
const planned = (of: DeployCall) => {
  const plan = planDeploy(of);
  return 'rollout' in plan
    ? [plan.kind, plan.rollout?.id]
    : 'replaces' in plan
      ? [plan.kind, plan.replaces]
      : [plan.kind];
};

describe('a deploy', () => {
  it('that the same key asked for within five minutes is the same, started or not', () => {
    for (const [state, start] of [
      ['Active', true],
      ['Held', true],
      ['Paused', true],
      ['Pending', false],
    ] as const) {
      const mine = rollout(1, state, '1.1.0', { by: 'me', age: 299_999 });
      expect(planned(call('1.1.0', { start, rollouts: [mine] }))).toEqual(['repeat', 1]);
    }
  });

  it('is none where another key asked, it is long ago, it is another plan, or it has not started as asked', () => {
    const active = (more: object) => [rollout(1, 'Active', '1.1.0', { by: 'me', ...more })];
    expect(planned(call('1.1.0', { rollouts: active({ by: 'other' }) }))).toEqual(['promote', 1]);
    expect(planned(call('1.1.0', { rollouts: active({ age: 300_000 }) }))).toEqual(['promote', 1]);
    expect(planned(call('1.1.0', { rollouts: active({ percent: 10 }) }))).toEqual(['promote', 1]);
    expect(planned(call('1.1.0', { rollouts: [rollout(1, 'Pending', '1.1.0', { by: 'me' })] }))).toEqual([
      'begin',
      [1],
    ]);
  });

  it('of a version whose rollout is live promotes it for everyone at once, and is refused for less', () => {
    const live = [rollout(4, 'Paused', '1.1.0')];
    expect(planned(call('1.1.0', { rollouts: live }))).toEqual(['promote', 4]);
    expect(planned(call('1.1.0', { rollouts: live, percent: 50 }))).toEqual(['live_already', 4]);
    expect(planned(call('1.1.0', { rollouts: live, start: false }))).toEqual(['live_already', 4]);
  });

  it('of a version that was stable before the live or stable one is a way back, for everyone at once only', () => {
    const stableOrder = ['1.0.0', '1.1.0'];
    expect(planned(call('1.0.0', { stable: '1.1.0', stableOrder }))).toEqual(['go_back']);
    const live = [rollout(7, 'Active', '1.2.0')];
    expect(planned(call('1.1.0', { stable: '1.1.0', stableOrder, rollouts: live }))).toEqual(['go_back']);
    expect(planned(call('1.1.0', { stable: '1.0.0', stableOrder }))).toEqual(['begin', []]);
    expect(planned(call('1.0.0', { stable: '1.1.0', stableOrder, percent: 10 }))).toEqual(['begin', []]);
    expect(planned(call('1.0.0', { stable: '1.1.0', stableOrder, start: false }))).toEqual(['begin', []]);
    expect(planned(call('2.0.0', { stable: '1.1.0', stableOrder }))).toEqual(['begin', []]);
  });

  it('of the stable version changes nothing, whoever made it so', () => {
    const made = rollout(3, 'Completed', '1.0.0');
    const stableOrder = ['1.0.0'];
    expect(planned(call('1.0.0', { stable: '1.0.0', stableOrder, rollouts: [made] }))).toEqual(['stable_already', 3]);
    expect(planned(call('1.0.0', { stable: '1.0.0', stableOrder }))).toEqual(['stable_already', undefined]);
  });

  it('else begins, and takes the place of those of the version that never started', () => {
    const met = [rollout(5, 'Pending', '1.1.0'), rollout(4, 'Pending', '1.2.0'), rollout(2, 'Completed', '1.1.0')];
    expect(planned(call('1.1.0', { rollouts: met }))).toEqual(['begin', [5]]);
  });
});
