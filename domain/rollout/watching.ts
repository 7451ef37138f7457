/** Pure. From the pointer in memory to what the windows must know of a device, now; nothing where its rollout is judged by fixed limits. */
import { armOf, type Attribution } from './arms.ts';
import { slotOf } from './assignment.ts';
import { isLiveRollout, thresholdWidth, type AssignedDevice, type LiveRollout, type Pointer } from './pointer.ts';
import { clockMs, readClock } from './stageClock.ts';
import { deviceLeaf, type SayingDevice } from './verdict/leaf.ts';
import { watchTold, type Place, type Watch, type WatchedStage } from './verdict/index.ts';

export type WatchedDevice = AssignedDevice & SayingDevice;

/** The live rollout's evidence stage; undefined under fixed limits. */
export function watchedStage({ id, stage, threshold, evidence }: LiveRollout): WatchedStage | undefined {
  return (
    (evidence && {
      rolloutId: id,
      stage,
      evidenceStage: threshold.evidence_stage,
      to: threshold.to,
      rampMs: threshold.ramp_ms,
      minBakeMs: evidence.min_bake_ms,
      silenceAfterMs: evidence.silence_after_ms,
      measured: evidence.measured,
      frozenQ: evidence.frozen_q,
      slower: evidence.slower,
      accuracy: evidence.accuracy,
    }) ??
    undefined
  );
}

/** The evidence stage of a report or a question, and where the device stands in it. @param attribution `armOf` */
export function watchedPlace(
  pointer: Pointer,
  { rolloutId, arm }: Attribution,
  device: WatchedDevice,
  now: Date,
): { readonly stage: WatchedStage; readonly place: Place } | undefined {
  const rollout = pointer.rollouts.find((one) => one.id === rolloutId);
  if (!rollout || !isLiveRollout(rollout)) return undefined;
  const stage = watchedStage(rollout);
  if (!stage) return undefined;
  const { seed, threshold } = rollout;
  const place = {
    arm,
    // Canary is watched whole.
    slot: arm === 'canary' ? 0 : slotOf(pointer.model_id, seed, device.id),
    leaf: deviceLeaf(device),
    width: thresholdWidth(threshold, now),
    clockMs: clockMs(readClock(threshold), now.getTime()),
  };
  return { stage, place };
}

/** What the mark of a version question carries. @param told the version that it was answered */
export function toldWatch(pointer: Pointer, device: WatchedDevice, told: string, now: Date): Watch | undefined {
  if (!pointer.rollouts.some((rollout) => rollout.evidence !== null)) return undefined;
  const attribution = armOf(pointer, device, told, now);
  const of = attribution && watchedPlace(pointer, attribution, device, now);
  return of && watchTold(of.stage, of.place);
}
