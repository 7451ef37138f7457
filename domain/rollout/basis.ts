/** Pure. On what a version went on: proven healthy, without an alarm where nothing can be proven, or neither (docs/design/judge.md "One look"). */
import type { HealthBasis, HealthJudgement, RolloutSpec, StepBasis } from '../events/rollout.ts';
import { evidencePolicy } from './policies.ts';

/** Weakest first. */
const ORDER: readonly HealthBasis[] = ['unproven', 'quiet', 'proven'];

/** The weaker of two; null says nothing. */
export function weaker(a: HealthBasis | null, b: HealthBasis | null): HealthBasis | null {
  if (a === null || b === null) return a ?? b;
  return ORDER.indexOf(a) <= ORDER.indexOf(b) ? a : b;
}

/** What a verdict is as a basis of the next step; null under fixed limits. */
export function basisOf(judged: HealthJudgement | null): HealthBasis | null {
  if (judged?.algorithm !== 'verdict@1') return null;
  if (judged.verdict === 'HEALTHY') return 'proven';
  return judged.verdict === 'QUIET' ? 'quiet' : 'unproven';
}

interface Left {
  readonly spec: RolloutSpec | null;
  /** -1 before the first stage. */
  readonly stage: number;
}

/** On what the stage that runs is left; null under fixed limits, and where no stage runs yet. A person's step proves nothing. */
export function leftOn({ spec, stage }: Left, step: StepBasis): HealthBasis | null {
  if (stage < 0 || !spec || !evidencePolicy(spec)) return null;
  return step === 'auto' || step === 'manual' ? 'unproven' : step;
}
