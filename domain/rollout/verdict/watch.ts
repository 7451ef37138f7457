/**
 * Pure. What the windows must know of a device at one moment, from the pointer in memory: the report itself carries it to the counters, so no
 * question is asked on its way (docs/design/judge.md "Windows in the store").
 */
import type { Arm } from '../arms.ts';
import { bucketMicros, LAST_LATENCY_BUCKET } from '../latency.ts';
import { badWrong, METRICS, type Metric } from './metrics.ts';
import { segmentsOf, type EvidenceCell } from './segments.ts';
import { toldSlots, watchedSlots, type CanaryCount } from './windows.ts';

/** An evidence stage of a live rollout as its facts give it. Buckets of 10,000, milliseconds. */
export interface WatchedStage {
  readonly rolloutId: number;
  readonly stage: number;
  readonly evidenceStage: number;
  /** Buckets that the stage ends with. */
  readonly to: number;
  readonly rampMs: number;
  readonly minBakeMs: number;
  /** `silence.after`, at least three heartbeats. */
  readonly silenceAfterMs: number;
  /** Names of metrics. */
  readonly measured: readonly string[];
  /** Whole microseconds, by platform of a leaf. */
  readonly frozenQ: Readonly<Record<string, number>>;
  /** How many times q a prediction of canary may take. */
  readonly slower: number;
  /** Of the stable version on its validation data, in whole millionths; null: unknown, and nobody drifts. */
  readonly accuracy: number | null;
}

/** A device in one arm of it, now. */
export interface WindowOwner {
  readonly arm: Arm;
  readonly slot: number;
  readonly leaf: EvidenceCell;
  /** Buckets that are inside. */
  readonly width: number;
  /** Stage clock. */
  readonly clockMs: number;
}

/** Plain data, as `ops.fold_windows` and `ops.open_silence` read it. Names of metrics; milliseconds of the stage clock. */
export interface Watch {
  readonly rollout: number;
  readonly stage: number;
  readonly evidence_stage: number;
  readonly arm: Arm;
  readonly clock_ms: number;
  readonly late_ms: number;
  readonly after_ms: number;
  /** What the device's first report opens. Empty: it is not asked yet, and an open window goes on. */
  readonly opens: readonly string[];
  /** What a report of a device opens that was watched before `late_ms`. */
  readonly late: readonly string[];
  /** First bucket of latency that is slow; null: not measured. */
  readonly slow_from: number | null;
  /** Wrong answers of those drawn that are too many; null: not measured. */
  readonly bad_wrong: number | null;
  readonly segments: readonly string[];
}

/** The first bucket whose latency is above so many microseconds; beyond the last where there is none. */
export function slowFrom(micros: number): number {
  let [low, high] = [0, LAST_LATENCY_BUCKET + 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (bucketMicros(middle) > micros) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Half the least bake is over. */
const lateMs = ({ rampMs, minBakeMs }: WatchedStage): number => rampMs + Math.ceil(minBakeMs / 2);

/**
 * What a report of the arm's version carries. Undefined: no window of the device is open or opens, since the share of control that is asked never
 * falls within an evidence stage.
 *
 * @param count of canary at the last look
 */
export function watchReport(
  stage: WatchedStage,
  place: WindowOwner,
  count: CanaryCount,
  table: readonly Metric[] = METRICS,
): Watch | undefined {
  const { arm, slot, leaf, width, clockMs } = place;
  if (arm === 'control' && slot >= toldSlots(width, stage.to)) return undefined;
  const q = leaf.platform === null ? undefined : stage.frozenQ[leaf.platform];
  const drift = table.find((row) => row.ends.by === 'samples' && row.bad === null);
  const watch = {
    ...common(stage, place),
    slow_from: q === undefined ? null : slowFrom(arm === 'canary' ? q * stage.slower : q),
    bad_wrong:
      drift?.ends.by === 'samples' && stage.accuracy !== null ? badWrong(drift.ends.size, stage.accuracy) : null,
  };
  const isAsked = (row: Metric): boolean => {
    if (row.ends.by === 'outcome') return arm === 'canary' && row.name === 'install';
    // It also says that the device is active.
    if (row.ends.by === 'event') return row.name === 'crash';
    if (!stage.measured.includes(row.name)) return false;
    if (row.ends.of === 'timed') return watch.slow_from !== null;
    return row.bad !== null || watch.bad_wrong !== null;
  };
  const isSecond = (row: Metric): boolean => row.policy !== row.name;
  const asked = table.filter(isAsked);
  const isOpen = arm === 'canary' || slot < watchedSlots(width, stage.to, clamped(count));
  return {
    ...watch,
    opens: isOpen ? asked.filter((row) => !isSecond(row)).map((row) => row.name) : [],
    late: clockMs >= watch.late_ms ? asked.filter(isSecond).map((row) => row.name) : [],
  };
}

/** What a mark of the version question carries; undefined where the question opens no window of silence. */
export function watchTold(stage: WatchedStage, place: WindowOwner): Watch | undefined {
  if (place.arm === 'control' && place.slot >= toldSlots(place.width, stage.to)) return undefined;
  return { ...common(stage, place), opens: [], late: [], slow_from: null, bad_wrong: null };
}

function common(stage: WatchedStage, { arm, leaf, clockMs }: WindowOwner) {
  return {
    rollout: stage.rolloutId,
    stage: stage.stage,
    evidence_stage: stage.evidenceStage,
    arm,
    clock_ms: clockMs,
    late_ms: lateMs(stage),
    after_ms: stage.silenceAfterMs,
    segments: segmentsOf(leaf),
  };
}

/** A report may be counted before the mark that says it was told. */
const clamped = ({ told, active }: CanaryCount): CanaryCount => ({ told, active: Math.min(told, active) });
