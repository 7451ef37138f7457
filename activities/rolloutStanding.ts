/** A folded rollout as the plain data that plan and judge take. */
import type { ArmCounters, Judgement } from '../domain/events/rollout.ts';
import type { EvidenceJudgement } from '../domain/events/verdict.ts';
import type { RolloutView as Standing } from '../domain/rollout/plan.ts';
import { clockMs } from '../domain/rollout/stageClock.ts';
import { evidencePolicy } from '../domain/rollout/policies.ts';
import { judge } from '../domain/rollout/thresholds.ts';
import { isProofLook, judgeEvidence, trustOf, type StageReading } from '../domain/rollout/verdict/index.ts';
import { exists } from '../machines/fold.ts';
import type { RolloutState } from '../machines/rollout.ts';

/** @throws Error before RolloutCreated (a bug: such a stream has no facts) */
export function rolloutStanding(rollout: RolloutState): Standing {
  const { spec, entered } = rollout.context;
  if (!exists(rollout) || !spec) throw new Error('a rollout without its spec');
  const { state, context } = rollout;
  return {
    state,
    spec,
    stage: context.stage,
    entered: entered && {
      from: entered.from,
      to: entered.to,
      rampMs: entered.ramp_ms,
      minBakeMs: entered.min_bake_ms,
      maxBakeMs: entered.max_bake_ms,
    },
    clock: context.clock,
    lastJudgement: context.judged,
  };
}

/** One look at the stage that runs, by fixed limits; undefined before the first. */
export function lookAt(
  rollout: RolloutState,
  counters: { readonly canary: ArmCounters; readonly control: ArmCounters },
  now: number,
): Judgement | undefined {
  const { spec, stage, entered, clock } = rolloutStanding(rollout);
  if (!entered) return undefined;
  return judge({
    spec,
    stage,
    look: rollout.context.looks + 1,
    counters,
    setAside: rollout.context.setAside,
    clockMs: clockMs(clock, now),
    rampMs: entered.rampMs,
    minBakeMs: entered.minBakeMs,
    maxBakeMs: entered.maxBakeMs,
  });
}

export interface EvidenceLooked {
  readonly judgement: EvidenceJudgement;
  /** Good looks that the next look is owed. */
  readonly owed: number;
}

/**
 * One look at the windows of the stage that runs; undefined before the first, and under fixed limits.
 *
 * @param owed good looks that this one is owed: those of the last judgement, less the looks since
 */
export function lookAtWindows(
  rollout: RolloutState,
  reading: StageReading,
  owed: number,
  now: number,
): EvidenceLooked | undefined {
  const { stage, entered, clock, spec, frozen, proven, proofAt, looks } = rollout.context;
  const evidence = spec && evidencePolicy(spec);
  const planned = spec?.stages[stage];
  if (!evidence || !entered || !planned) return undefined;
  const { told, active, silentMs, longestGapMs } = reading;
  const at = clockMs(clock, now);
  const trust = trustOf({ silentMs, longestGapMs, blind: false, owed }, evidence.trust);
  const { has_control = false, can_prove = false, segments = [] } = entered.evidence ?? {};
  const judgement = judgeEvidence({
    spec: { stages: spec.stages, evidence },
    stage,
    evidenceStage: clock.evidenceStage,
    look: looks + 1,
    clockMs: at,
    given: {
      has_control,
      measured: [...(frozen?.measured ?? [])],
      told,
      active,
      can_prove,
      // A look that cannot be believed proves nothing: the next one that can takes its place.
      proof_look: trust.distrust === null && isProofLook(planned, at, proofAt),
      proven_before: [...proven],
      segments: segments.length,
      frozen_q: { ...frozen?.frozen_q },
      silent_ms: silentMs,
      longest_gap_ms: longestGapMs,
      blind: false,
      good_looks_owed: owed,
    },
    evidence: reading.evidence,
    restOf: reading.restOf,
  });
  return { judgement, owed: trust.owed };
}
