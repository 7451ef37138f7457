/** Pure. To which arm of which rollout a device's report counts. */
import { bucketOf, isInside } from './assignment.ts';
import { isInCohort } from './cohort.ts';
import { isLiveRollout, thresholdWidth, type AssignedDevice, type Pointer } from './pointer.ts';

export type Arm = 'canary' | 'control';

export interface Attribution {
  readonly rolloutId: number;
  readonly stage: number;
  readonly arm: Arm;
}

/**
 * Canary: in the cohort, inside the width of this moment, and the report names the rollout's version. Control: in the cohort,
 * outside the whole stage `[lo, lo + to)`, or a device would be control now and canary an hour later, and the report names the
 * stable version. Anything else says nothing about the rollout: undefined.
 *
 * A paused or held rollout still counts, so that it can still be convicted.
 */
export function armOf(
  pointer: Pointer,
  device: AssignedDevice,
  reportedVersion: string,
  now: Date,
): Attribution | undefined {
  for (const rollout of pointer.rollouts) {
    if (!isLiveRollout(rollout) || !isInCohort(rollout, device)) continue;
    const { id: rolloutId, stage, lo, threshold } = rollout;
    const bucket = bucketOf(pointer.model_id, rollout.seed, device.id);
    if (reportedVersion === rollout.version && isInside(bucket, lo, thresholdWidth(threshold, now))) {
      return { rolloutId, stage, arm: 'canary' };
    }
    if (reportedVersion === pointer.stable && !isInside(bucket, lo, threshold.to)) {
      return { rolloutId, stage, arm: 'control' };
    }
  }
  return undefined;
}
