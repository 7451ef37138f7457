/** Equal versions end QUIET, stage by stage: 2,000 phones prove nothing. `EDGEML_JUDGE_FLEETS=20` tries more fleets. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { nobody, rollOut, SEEDS, STAGES, startJudged, type Judged } from './judged.ts';

let judged: Judged;
beforeAll(async () => {
  judged = await startJudged();
}, 120_000);
afterAll(() => judged?.product.end());

it.each(SEEDS)(
  'equal versions end QUIET, stage by stage (fleet %i)',
  async (seed) => {
    const { rollout, verdicts } = await rollOut(judged, seed, nobody);
    expect(rollout.status).toBe('completed');
    expect(verdicts).toEqual(STAGES.map(() => 'QUIET'));
  },
  400_000,
);
