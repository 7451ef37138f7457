/** What a device is told of the rules of its assignment: numbers that are its own, also where no rule gives it a version. */
import { describe, expect, it } from 'vitest';
import { bucketOf } from '../../../domain/rollout/assignment.ts';
import type { LiveRollout, Pointer } from '../../../domain/rollout/pointer.ts';
import { whyView } from './why.ts';

const NOW = new Date('2026-01-01T00:00:00.000Z');
const rollout = (more: Partial<Omit<LiveRollout, 'status' | 'pause_cause'>> = {}): LiveRollout => ({
  id: 7,
  version: '1.1.0',
  seed: '7',
  lo: 0,
  threshold: { from: 0, to: 2000, ramp_ms: 0, clock_ms: 0, clock_since: null, clock_stood: null, evidence_stage: 0 },
  cohort: null,
  exclude: null,
  evidence: null,
  hold: null,
  on_regressed: 'rollback',
  stage: 0,
  status: 'active',
  pause_cause: null,
  ...more,
});
const pointer = (more: Partial<Pointer> = {}): Pointer => ({
  org_id: 'org_local',
  model_id: 'm',
  epoch: 1,
  stable: null,
  latest: null,
  ever_rolled_out: true,
  previews: [],
  rolled_back: [],
  rollouts: [rollout()],
  ...more,
});
/** A device of the wanted side of the first 2,000 buckets. */
const device = (isIn: boolean, seed = '7') => {
  const isWanted = (id: string) => bucketOf('m', seed, id) < 2000 === isIn;
  const id = Array.from({ length: 1_000 }, (_, i) => `d-${i}`).find(isWanted)!;
  return { id, platform: 'ios' };
};
const detailOf = (why: ReturnType<typeof whyView>, rule: string) => why.rules.filter((r) => r.rule === rule).at(-1);

describe('why', () => {
  it('names the bucket of a device that is outside of the rollout and is told nothing', () => {
    const outside = device(false);
    const why = whyView(pointer(), outside, NOW);
    const bucket = bucketOf('m', '7', outside.id);
    expect(why).toMatchObject({ version: null, source: 'none', bucket });
    expect(detailOf(why, 'bucket')).toMatchObject({
      met: false,
      detail: `rollout 7 of 1.1.0: bucket ${bucket} is not among the 2000 of 10000 that are in, from 0`,
    });
  });

  it('names it too where the cohort keeps the device out, and where the stable version is what it gets', () => {
    const inside = device(true);
    const cohort = { rollouts: [rollout({ cohort: { platform: ['android'] } })] };
    const kept = whyView(pointer(cohort), inside, NOW);
    expect(kept.bucket).toBe(bucketOf('m', '7', inside.id));
    expect(detailOf(kept, 'bucket')).toMatchObject({ met: true });
    expect(detailOf(kept, 'cohort')).toMatchObject({ met: false });
    const stable = whyView(pointer({ ...cohort, stable: '1.0.0' }), inside, NOW);
    expect(stable).toMatchObject({ version: '1.0.0', bucket: bucketOf('m', '7', inside.id) });
  });

  it('counts each of two rollouts by its own hash', () => {
    const one = { id: 'd-1', platform: 'ios' };
    const rules = whyView(pointer({ rollouts: [rollout(), rollout({ id: 8, seed: '8' })] }), one, NOW).rules;
    const details = rules.filter((r) => r.rule === 'bucket').map((r) => r.detail);
    expect(details[0]).toContain(`bucket ${bucketOf('m', '7', 'd-1')} is`);
    expect(details[1]).toContain(`bucket ${bucketOf('m', '8', 'd-1')} is`);
  });

  it('has no bucket where nothing is live, and says what is published where that is only a pre-release', () => {
    const quiet = pointer({ rollouts: [], ever_rolled_out: false, previews: ['1.0.0-rc.1'] });
    const why = whyView(quiet, device(true), NOW);
    expect(why.bucket).toBeNull();
    expect(detailOf(why, 'latest')?.detail).toBe(
      'no release is published, and a pre-release is never the latest: 1.0.0-rc.1',
    );
  });
});
