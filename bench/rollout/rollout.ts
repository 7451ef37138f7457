/** A whole rollout on simulated time: the real plan asks for the next step, the real judge answers each look. */
import { durationMs } from '../../domain/duration.ts';
import type { Stage } from '../../domain/events/rollout.ts';
import type { EvidenceJudgement, EvidencePolicy, EvidenceVerdict } from '../../domain/events/verdict.ts';
import { nextStep, type RolloutView } from '../../domain/rollout/plan.ts';
import { createReader } from '../../domain/rollout/specReader.ts';
import { startClock } from '../../domain/rollout/stageClock.ts';
import {
  consequenceOf,
  isProofLook,
  judgeEvidence,
  METRICS,
  preflightStage,
  readEvidence,
  recheckEvidence,
  stageBuckets,
  trustOf,
  type EvidenceSpec,
  type StagePreflight,
} from '../../domain/rollout/verdict/index.ts';
import { createEvidence } from './evidence.ts';
import type { Fault } from './faults.ts';
import { LEAVES, type Fleet } from './fleet.ts';
import type { Random } from './random.ts';
import { HOUR, runStage } from './stage.ts';
import type { World } from './world.ts';

/** Everything but drift, which needs labels. */
export const MEASURED = METRICS.map((row) => row.name).filter((name) => name !== 'drift');

export interface Trial {
  readonly spec: EvidenceSpec;
  readonly measured: readonly string[];
  readonly lookHours: number;
  /** A person advances whatever is held or inconclusive: what is asked is whether it would be rolled back. */
  readonly isPushed: boolean;
  readonly fault?: Fault;
}

export interface StageOutcome {
  readonly stage: number;
  readonly verdict: EvidenceVerdict;
  readonly judgement: EvidenceJudgement;
  /** Stage clock and wall time at the end, hours. */
  readonly clock: number;
  readonly wall: number;
  /** Canary devices that were active by then. */
  readonly active: number;
  readonly wasHeld: boolean;
  readonly wasUntrusted: boolean;
  /** A judgement that does not recompute. */
  readonly forged: EvidenceJudgement | undefined;
}

export const stagesOf = (percents: readonly number[], ramp: string, min: string, max: string): Stage[] =>
  percents.map((percent) => ({ percent, ramp, min_bake: min, max_bake: max }));

export function trialOf(
  stages: readonly Stage[],
  request: Record<string, unknown>,
  more: Partial<Omit<Trial, 'spec'>> = {},
): Trial {
  const { fault } = more;
  const read = createReader();
  const policy = readEvidence(read, request, stages.length);
  if (read.problems.length > 0) throw new Error(JSON.stringify(read.problems));
  const metrics = Object.entries(policy.metrics).map(([name, own]) => [
    name,
    { ...own, on_limit: 'rollback' as const },
  ]);
  const evidence: EvidencePolicy =
    fault === 'a-rolls-back' ? { ...policy, metrics: Object.fromEntries(metrics) } : policy;
  return { spec: { stages, evidence }, measured: MEASURED, lookHours: 1 / 12, isPushed: false, ...more };
}

/** What pre-flight says of a fleet of this size; told once, since it is the same for every seed. */
function expected({ spec, measured }: Trial, devices: number, stage: number): StagePreflight {
  const key = JSON.stringify([spec, measured, devices, stage]);
  const known = plans.get(key);
  if (known) return known;
  const leaves = LEAVES.map((leaf) => ({ ...leaf, devices: leaf.share * devices }));
  const plan = preflightStage(spec, stage, { leaves, hasControl: true, measured });
  plans.set(key, plan);
  return plan;
}
const plans = new Map<string, StagePreflight>();

export interface Watched {
  readonly random: Random;
  readonly fleet: Fleet;
  readonly world: World;
  readonly trial: Trial;
  readonly rollout: string;
}

/** From the stage on that `world` gives no world for, or to the end. */
export function runRollout(watched: Omit<Watched, 'world'>, worldOf: (stage: number) => World): StageOutcome[] {
  const { trial, fleet } = watched;
  const outcomes: StageOutcome[] = [];
  const provenSoFar: string[] = [];
  const spec = {
    version: '1.1.0',
    stages: [...trial.spec.stages],
    look: '60s',
    policy: { rules: [] },
    on_regressed: 'rollback' as const,
  };
  for (let stage = 0; ;) {
    const outcome = watchStage(
      { ...watched, world: worldOf(stage) },
      stage,
      expected(trial, fleet.size, stage),
      provenSoFar,
    );
    outcomes.push(outcome);
    for (const name of outcome.judgement.proven) if (!provenSoFar.includes(name)) provenSoFar.push(name);
    const consequence = consequenceOf(outcome.verdict, trial.spec.evidence);
    const goesOn = consequence === 'advance' || (trial.isPushed && consequence !== 'rollback');
    const current = trial.spec.stages[stage]!;
    const view: RolloutView = {
      state: consequence === 'rollback' ? 'RolledBack' : 'Active',
      spec,
      stage,
      entered: {
        from: 0,
        to: 0,
        rampMs: durationMs(current.ramp),
        minBakeMs: durationMs(current.min_bake),
        maxBakeMs: durationMs(current.max_bake),
      },
      clock: startClock(0),
      lastJudgement: goesOn
        ? { stage, verdict: 'HEALTHY', missing: [] }
        : { stage, verdict: 'INCONCLUSIVE', missing: [] },
    };
    const step = nextStep(view, Math.ceil(outcome.clock * HOUR));
    if (step.kind !== 'enterStage') return outcomes;
    stage = step.stage;
  }
}

/** Wall looks of a stage whose telemetry is cut: the real trust decides when its clock stands. */
function clockOf(world: World, trial: Trial, looks: number, reportGapMs: number) {
  const clock = new Float64Array(looks);
  const readings = [];
  let owed = 0;
  for (let k = 0; k < looks; k += 1) {
    const t = k * trial.lookHours;
    const { cut } = world;
    const isCut = cut?.whose === 'all' && t > cut.from && t <= cut.to;
    const reading = {
      silent_ms: isCut ? Math.round((t - cut.from) * HOUR) : 0,
      longest_gap_ms: reportGapMs,
      blind: false,
      good_looks_owed: owed,
    };
    const trust = trustOf(
      { silentMs: reading.silent_ms, longestGapMs: reading.longest_gap_ms, blind: false, owed },
      trial.spec.evidence.trust,
    );
    readings.push(reading);
    clock[k] = k === 0 ? 0 : clock[k - 1]! + (trust.distrust === null ? trial.lookHours : 0);
    owed = trust.owed;
  }
  return { clock, readings };
}

/** One stage to its verdict. */
export function watchStage(
  { random, fleet, world, trial, rollout }: Watched,
  stage: number,
  plan: StagePreflight,
  provenBefore: readonly string[],
): StageOutcome {
  const { fault, spec } = trial;
  const current = spec.stages[stage]!;
  const { holdback } = spec.evidence;
  const from = stage === 0 ? 0 : stageBuckets(spec.stages[stage - 1]!.percent, holdback);
  const to = stageBuckets(current.percent, holdback);
  const [rampMs, minBakeMs, maxBakeMs] = [current.ramp, current.min_bake, current.max_bake].map(durationMs) as [
    number,
    number,
    number,
  ];
  const cutHours = world.cut?.whose === 'all' ? world.cut.to - world.cut.from + 12 * trial.lookHours : 0;
  const hours = (rampMs + maxBakeMs) / HOUR + cutHours + trial.lookHours;
  const looks = Math.ceil(hours / trial.lookHours) + 1;
  const { clock, readings } = clockOf(world, trial, looks, Math.max(60_000, Math.round(world.reportHours * HOUR)));
  const run = runStage(
    random,
    fleet,
    world,
    {
      rollout,
      stage,
      from,
      to,
      rampMs,
      minBakeMs,
      lookHours: trial.lookHours,
      hours,
      ...(cutHours > 0 ? { clock } : {}),
    },
    fault,
  );

  const evidence = createEvidence(plan.segments, to / 10_000, fault);
  // The judge divides by the stages of its spec and two: here by one.
  const judgedSpec = fault === 'no-stages' ? { ...spec, stages: { ...spec.stages, length: -1 } as Stage[] } : spec;
  let [facts, lastClock, wasHeld, wasUntrusted] = [0, 0, false, false];
  let proven = [...provenBefore];
  let last: EvidenceJudgement | undefined;
  let forged: EvidenceJudgement | undefined;
  let found: StageOutcome | undefined;

  run.log.eachLook((k, codes) => {
    if (found) return;
    const hasNews = evidence.take(codes);
    const clockAt = Math.round(clock[k]! * HOUR);
    const reading = readings[k]!;
    const proof = isProofLook(current, clockAt, lastClock);
    const isBaked = clockAt >= rampMs + minBakeMs;
    // Without a bad window there is nothing new against canary: the look is the one before.
    const asks = hasNews || proof || (isBaked && last?.verdict === 'PENDING') || reading.silent_ms > 0;
    lastClock = clockAt;
    if (!asks && reading.good_looks_owed === 0) return;
    const judgement = judgeEvidence({
      spec: judgedSpec,
      stage,
      evidenceStage: stage,
      look: facts + 1,
      clockMs: clockAt,
      given: {
        has_control: to < 10_000,
        measured: [...trial.measured],
        told: run.told[k]!,
        active: run.active[k]!,
        can_prove: plan.canProve,
        proof_look: proof,
        proven_before: proven,
        segments: plan.segments.length,
        frozen_q: {},
        ...reading,
      },
      evidence: evidence.read(),
      restOf: evidence.restOf,
    });
    proven = judgement.proven;
    const changed =
      !last ||
      proof ||
      last.verdict !== judgement.verdict ||
      last.guilt?.named !== judgement.guilt?.named ||
      last.proven.length !== judgement.proven.length;
    if (changed) {
      facts += 1;
      last = judgement;
      // As it was appended and read again.
      const stored = JSON.parse(JSON.stringify(judgement)) as EvidenceJudgement;
      if (!recheckEvidence(stored, judgedSpec).equal) forged = stored;
    }
    wasUntrusted ||= judgement.verdict === 'UNTRUSTED';
    wasHeld ||= judgement.verdict === 'HELD';
    const isOver = clockAt >= rampMs + maxBakeMs;
    const waits =
      judgement.verdict === 'PENDING' ||
      judgement.verdict === 'UNTRUSTED' ||
      // A person who looks on: held until the least bake is over.
      (judgement.verdict === 'HELD' && (trial.isPushed ? !isBaked : !isOver));
    if (waits && k < run.looks - 1) return;
    found = {
      stage,
      verdict: judgement.verdict,
      judgement,
      clock: clock[k]!,
      wall: k * trial.lookHours,
      active: run.active[k]!,
      wasHeld,
      wasUntrusted,
      forged,
    };
  });
  if (!found) throw new Error(`stage ${stage} ended without a judgement`);
  return found;
}

/** The first stage of a trial alone, or another one. */
export function runOneStage(watched: Watched, stage: number): StageOutcome {
  return watchStage(watched, stage, expected(watched.trial, watched.fleet.size, stage), []);
}
