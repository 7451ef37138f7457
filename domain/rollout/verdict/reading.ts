/** Pure. Types only: what a look and a pre-flight read of the windows and of the fleet. The store implements it; whoever judges is handed it. */
import type { ModelId, Semver } from '../../brands.ts';
import type { Filter } from '../../events/rollout.ts';
import type { RunningClock } from '../stageClock.ts';
import type { Tally } from './comparison.ts';
import type { MetricEvidence } from './judge.ts';
import type { EvidenceCell } from './segments.ts';

/** One evidence stage. */
export interface EvidenceStage {
  readonly rolloutId: number;
  readonly stage: number;
  /** From 0 in each stage. */
  readonly evidenceStage: number;
}

export interface StageQuestion extends EvidenceStage {
  /** Stage clock, milliseconds: windows of `crash` and `silence` end by age. */
  readonly clockMs: number;
  /** Those fixed when the stage was entered; no other is answered. */
  readonly segments: readonly string[];
}

/** What the windows of one evidence stage show at one moment. */
export interface StageReading {
  readonly evidence: readonly MetricEvidence[];
  /** The tally of a metric outside one of the segments. */
  readonly restOf: (metric: string, segment: string) => Tally;
  /** Canary devices of this stage: told the version, and seen to run it. */
  readonly told: number;
  readonly active: number;
  /** Since the newest report of any device of the model, milliseconds. */
  readonly silentMs: number;
  /** The longest such silence of the last 7 days; null: nothing is known. */
  readonly longestGapMs: number | null;
}

export interface FleetQuestion {
  readonly modelId: ModelId;
  /** The version that control runs; null: there is none. */
  readonly stable: Semver | null;
  readonly cohort: Filter | null;
  readonly exclude: Filter | null;
}

/** Devices of a cohort, and what is known of the stable version on them. */
export interface FleetReading {
  /** Devices that were seen in the last 7 days, by leaf. */
  readonly leaves: readonly (EvidenceCell & { readonly devices: number })[];
  /** Names of metrics that the stable version sent in the last 7 days; without one, those that any version may send. */
  readonly measured: readonly string[];
  /** Whole microseconds of its 95th percentile in the last 7 days, by platform. */
  readonly frozenQ: Readonly<Record<string, number>>;
}

export interface SweptStage extends EvidenceStage {
  readonly clock: RunningClock;
  /** `silence.after`, milliseconds. */
  readonly silenceAfterMs: number;
}

/** Concurrent; as fresh as the last committed report. */
export interface EvidenceReader {
  /**
   * Ends what no report ends: silence, transfers that take too long, and the age of `crash` and `silence`. Before each look; idempotent. Nothing while
   * the clock stands.
   *
   * @param now the database's time, Unix milliseconds
   */
  sweep(stage: SweptStage, now: number): Promise<void>;
  /** Also notes the counts of canary, which control follows. */
  readStage(question: StageQuestion): Promise<StageReading>;
  readFleet(question: FleetQuestion): Promise<FleetReading>;
}
