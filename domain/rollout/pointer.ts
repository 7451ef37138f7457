/**
 * Pure. The pointer document: all that is needed to tell any device of a model its version, and no more, whatever the model has
 * behind it. One per model, a fold of the log. The fold is in `pointerFold.ts`, its use for telemetry in `arms.ts`.
 */
import type { Filter, PauseCause } from '../events/rollout.ts';
import type { FrozenEvidence } from '../events/verdict.ts';
import { bucketOf, isInside, widthAt } from './assignment.ts';
import { isInCohort, type DeviceAttributes } from './cohort.ts';
import type { Hold } from './holding.ts';
import { clockMs, readClock, type WrittenClock } from './stageClock.ts';

/** A stage in buckets and milliseconds, with its clock. `to` leaves the holdback outside. */
export interface Threshold extends WrittenClock {
  readonly from: number;
  readonly to: number;
  readonly ramp_ms: number;
}

export interface PointerEvidence extends FrozenEvidence {
  /** How long a device may be silent. */
  readonly silence_after_ms: number;
  /** A prediction of canary is slow above this multiple of q. */
  readonly slower: number;
  /** Of the stage that runs; 0 before the first. */
  readonly min_bake_ms: number;
}

interface OfRollout {
  readonly id: number;
  readonly version: string;
  /** First bucket of its range. */
  readonly lo: number;
  readonly cohort: Filter | null;
  readonly exclude: Filter | null;
  /** Under the policy `evidence`: what its windows are computed from, without another look anywhere. Null: fixed limits. */
  readonly evidence: PointerEvidence | null;
  readonly on_regressed: 'rollback' | 'hold';
  /** -1 before the first stage. */
  readonly stage: number;
}

/** Told to nobody. */
export interface PendingRollout extends OfRollout {
  readonly status: 'pending';
  readonly seed: null;
  readonly threshold: null;
  readonly pause_cause: null;
  readonly hold: null;
}

/** `threshold` is null between RolloutStarted and its first StageEntered. */
export type StartedRollout = OfRollout & {
  readonly seed: string;
  readonly threshold: Threshold | null;
  /** What holds it; also while it is paused. */
  readonly hold: Hold | null;
} & (
    | { readonly status: 'active' | 'held'; readonly pause_cause: null }
    | { readonly status: 'paused'; readonly pause_cause: PauseCause }
  );

/** A rollout that has not ended. */
export type PointerRollout = PendingRollout | StartedRollout;

export interface Pointer {
  readonly org_id: string;
  readonly model_id: string;
  /** Log index of the newest fact that changed this document. */
  readonly epoch: number;
  readonly stable: string | null;
  /** Highest listed release, which devices are told until the first rollout begins; null from then on. */
  readonly latest: string | null;
  readonly ever_rolled_out: boolean;
  /** The highest listed pre-releases, a few of them, while devices are told none because no release is listed. */
  readonly previews: readonly string[];
  /** Which of the versions that this document names were rolled back. The others are in `pointerMemory.ts`. */
  readonly rolled_back: readonly string[];
  /** Those that have not ended. */
  readonly rollouts: readonly PointerRollout[];
}

/** What an assignment needs to know of a device. `id` as the server issued it. */
export interface AssignedDevice extends DeviceAttributes {
  readonly id: string;
}

export interface Assignment {
  readonly version: string;
  readonly source: 'rollout' | 'default';
  readonly rolloutId?: number;
  /** Of the live rollout's hash, also where the device is outside; absent where no rollout is live. */
  readonly bucket?: number;
}

/** A rollout with its hash and its stage: one that devices are told. */
export type LiveRollout = StartedRollout & { readonly threshold: Threshold };

/** Whether devices are told this rollout: started and not ended; a paused one still counts. */
export function isLiveRollout(rollout: PointerRollout): rollout is LiveRollout {
  return rollout.status !== 'pending' && rollout.threshold !== null;
}

/** Buckets that are in at `now`: a stopped clock freezes them. */
export function thresholdWidth(threshold: Threshold, now: Date): number {
  const { from, to, ramp_ms } = threshold;
  return widthAt({ from, to, rampMs: ramp_ms, clockMs: clockMs(readClock(threshold), now.getTime()) });
}

/**
 * The version a device is to run, first match wins: live rollout, stable, and latest published only if the model never had a
 * rollout. A version that was rolled back is skipped everywhere. No row per device stands behind it.
 *
 * @param now the database's clock, so that two servers answer alike
 * @returns undefined where no version is in force for the device
 * @source docs/design/rollout.md "Which version a device is told"
 */
export function assign(pointer: Pointer, device: AssignedDevice, now: Date): Assignment | undefined {
  const isGood = (version: string) => !pointer.rolled_back.includes(version);
  let place: { readonly bucket?: number } = {};
  for (const rollout of pointer.rollouts) {
    if (!isLiveRollout(rollout)) continue;
    const bucket = bucketOf(pointer.model_id, rollout.seed, device.id);
    place = { bucket };
    if (!isGood(rollout.version) || !isInCohort(rollout, device)) continue;
    if (!isInside(bucket, rollout.lo, thresholdWidth(rollout.threshold, now))) continue;
    return { version: rollout.version, source: 'rollout', rolloutId: rollout.id, bucket };
  }
  const fallback = pointer.stable ?? (pointer.ever_rolled_out ? null : pointer.latest);
  if (fallback === null || !isGood(fallback)) return undefined;
  return { version: fallback, source: 'default', ...place };
}
