/** Pure. What stops a stage where it is, and what lets it go on: one rule for the chart, the pointer and the lists. */
import Type, { type Static } from 'typebox';
import type { HealthJudgement, RolloutSpec } from '../events/rollout.ts';
import { METRICS } from './verdict/metrics.ts';

/**
 * `untrusted`: until a look can be believed again. `transfer`: downloads or installs fail, until a judgement says otherwise. `limit`: a
 * metric that blames the model is over its limit, until a person decides. `regressed`: for good.
 */
export const Hold = Type.Union([
  Type.Literal('untrusted'),
  Type.Literal('transfer'),
  Type.Literal('limit'),
  Type.Literal('regressed'),
]);
export type Hold = Static<typeof Hold>;

/** No later judgement lifts these. */
const waitsForPerson = (hold: Hold | null): boolean => hold === 'limit' || hold === 'regressed';

function ofVerdict(judgement: HealthJudgement, onRegressed: RolloutSpec['on_regressed']): Hold | null {
  switch (judgement.verdict) {
    case 'UNTRUSTED':
      return 'untrusted';
    case 'HELD':
      return judgement.over_limit.some((name) => METRICS.find((row) => row.name === name)?.blames !== false)
        ? 'limit'
        : 'transfer';
    case 'REGRESSED':
      return onRegressed === 'hold' ? 'regressed' : null;
    default:
      return null;
  }
}

export interface HeldStage {
  readonly hold: Hold | null;
  readonly stage: number;
  readonly on_regressed: RolloutSpec['on_regressed'];
}

/**
 * What holds the stage after one more judgement; null: it goes on. What was judged of a stage that was left meanwhile holds this one only
 * where it convicts.
 *
 * @source docs/design/judge.md "One look"
 */
export function nextHold({ hold, stage, on_regressed }: HeldStage, judgement: HealthJudgement): Hold | null {
  if (judgement.stage !== stage && judgement.verdict !== 'REGRESSED') return hold;
  const next = ofVerdict(judgement, on_regressed);
  return next === 'regressed' || !waitsForPerson(hold) ? next : hold;
}

/** Whether a person who lets it go on sets aside what its windows showed: the stage begins anew, or it would be held again at once. */
export const setsAside = (hold: Hold | null): boolean => hold === 'limit' || hold === 'transfer';
