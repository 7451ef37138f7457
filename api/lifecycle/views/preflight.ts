/** Pre-flight as the own door shows it: numbers, and a sentence a stage. */
import type { Preflight as Said } from '../../../commands/fleetEvidence.ts';
import type { RolloutSpec } from '../../../domain/events/rollout.ts';
import { tellPreflight } from '../../../domain/rollout/verdict/index.ts';
import type { Preflight } from '../../../wire/rollout.ts';

/** Null under fixed limits. */
export function preflightView(said: Said | undefined, { stages }: RolloutSpec): Preflight | null {
  if (!said) return null;
  const { hasControl, measured } = said;
  const notes = [
    ...(hasControl ? [] : ['no control: only limits are watched']),
    ...(stages[0]?.ramp === '0s' || stages[0]?.ramp === '0ms' ? ['the first stage is told to all of it at once'] : []),
    ...(said.stages.every(({ canProve }) => canProve) ? [] : ['not every stage can prove health on this fleet']),
  ];
  return {
    has_control: hasControl,
    measured: [...measured],
    notes,
    stages: said.stages.map((one) => ({
      stage: one.stage,
      percent: stages[one.stage]!.percent,
      canary: one.canary,
      control: one.control,
      segments: [...one.segments],
      can_prove: one.canProve,
      convicts: Object.fromEntries(one.metrics.map(({ metric, convicts }) => [metric, convicts])),
      says: tellPreflight(one),
    })),
  };
}
