/** A version that crashes on one OS is rolled back, and that OS is named. `EDGEML_JUDGE_FLEETS=20` tries more fleets. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { rollOut, SEEDS, startJudged, type Judged } from './judged.ts';

let judged: Judged;
beforeAll(async () => {
  judged = await startJudged();
}, 120_000);
afterAll(() => judged?.product.end());

it.each(SEEDS)(
  'a version that crashes on iOS 14 is rolled back, and iOS 14 is named (fleet %i)',
  async (seed) => {
    const { rollout } = await rollOut(judged, seed, ({ osVersion }) => osVersion === '14.8');
    expect(rollout.status).toBe('rolled_back');
    expect(rollout.judged).toMatchObject({ verdict: 'REGRESSED', guilt: { metric: 'crash', named: 'os:ios 14' } });
    const audit = await judged.product.audit.verify();
    expect(audit.findings).toEqual([]);
  },
  400_000,
);
