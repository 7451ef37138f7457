/** Pure. What a verdict does to a rollout, by its spec. */
import type { EvidencePolicy, EvidenceVerdict } from '../../events/verdict.ts';

export type Consequence =
  /** Go on looking. */
  | 'watch'
  /** The next stage, or the end. */
  | 'advance'
  /** The clock stops until it is trusted again, or a person decides. */
  | 'hold'
  /** A person is asked. */
  | 'ask'
  | 'rollback';

/** @source docs/design/judge.md "One look" */
export function consequenceOf(
  verdict: EvidenceVerdict,
  { if_unproven, on_regressed }: Pick<EvidencePolicy, 'if_unproven' | 'on_regressed'>,
): Consequence {
  switch (verdict) {
    case 'PENDING':
      return 'watch';
    case 'HEALTHY':
      return 'advance';
    case 'QUIET':
      return if_unproven === 'ask' ? 'ask' : 'advance';
    case 'INCONCLUSIVE':
      return if_unproven === 'advance' ? 'advance' : 'ask';
    case 'UNTRUSTED':
    case 'HELD':
      return 'hold';
    case 'REGRESSED':
      return on_regressed;
    default:
      return verdict satisfies never;
  }
}
