/**
 * Pure. When the window of a device opens and ends, and its bit. Both arms keep in step: about the same share of each is watched at any moment
 * (docs/design/judge.md "Two arms in step"). Times are milliseconds of the stage clock.
 */
import { durationMs } from '../../duration.ts';
import type { Stage } from '../../events/rollout.ts';
import { BUCKETS } from '../assignment.ts';
import { drawnAtLeast } from './drawn.ts';
import type { Ending } from './metrics.ts';

/** Devices of canary in this stage, as counted at the last look. */
export interface CanaryCount {
  readonly told: number;
  readonly active: number;
}

/**
 * Control devices with a slot below this are asked about, of 10,000: as large a share of control as of canary that is active.
 *
 * @param width   buckets that are inside now
 * @param buckets that the stage ends with
 */
export const watchedSlots = (width: number, buckets: number, { told, active }: CanaryCount): number =>
  told === 0 || buckets === 0 ? 0 : BUCKETS * (width / buckets) * (active / told);

/** The same for `silence`, which opens when a device is told: a device that never comes back cannot become active. */
export const toldSlots = (width: number, buckets: number): number => (buckets === 0 ? 0 : BUCKETS * (width / buckets));

/** From here on the first report of a watched device opens its second window: half the least bake is over. */
export const lateFrom = (stage: Stage): number => durationMs(stage.ramp) + durationMs(stage.min_bake) / 2;

/** `silence.after` is never shorter than three heartbeats. */
export const silenceAfter = (after: string, heartbeatMs: number): number =>
  Math.max(durationMs(after), 3 * heartbeatMs);

/** Whether a device without contact since `lastMs` is silent. */
export const isSilent = (lastMs: number, clockMs: number, afterMs: number): boolean => clockMs - lastMs >= afterMs;

/** A `crash` or `silence` window has ended for a proof once it is so old. */
export const isAged = (openedMs: number, clockMs: number, afterMs: number): boolean => clockMs - openedMs >= afterMs;

/**
 * The bit of a window over samples.
 *
 * @param seen   samples since the base
 * @param failed failures among them
 * @param bad    failures of those drawn that make it bad
 * @param u      the device's own number, `drawOf`
 * @returns undefined while the window is open
 */
export function sampleBit(
  ends: Extract<Ending, { by: 'samples' }>,
  seen: number,
  failed: number,
  bad: number,
  u: () => number,
): boolean | undefined {
  if (seen < ends.size) return undefined;
  const chance = drawnAtLeast(seen, failed, ends.size, bad);
  if (chance === 0 || chance === 1) return chance === 1;
  return u() < chance;
}

/** Whether `crash` is bad: only what comes after the first finished prediction is; before it, it is `install` that failed. */
export const isCrashBit = (crashes: number, fallbacks: number, predictions: number): boolean =>
  crashes + fallbacks > 0 && predictions > 0;

/** `download`: its outcome, or failure once it has taken too long; undefined while it is under way. */
export function downloadBit(
  outcome: 'ok' | 'failed' | null,
  beganMs: number,
  clockMs: number,
  afterMs: number,
): boolean | undefined {
  if (outcome !== null) return outcome === 'failed';
  return clockMs - beganMs >= afterMs ? true : undefined;
}

/** Whether a stage begins anew: its buckets were changed, or it stood longer than a device may be silent. */
export const beginsAnew = (
  change: { readonly bucketsChanged: boolean; readonly pausedMs: number },
  silenceAfterMs: number,
): boolean => change.bucketsChanged || change.pausedMs > silenceAfterMs;
