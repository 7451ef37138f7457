/** Pure. Which devices are inside a rollout: a hash gives each device a bucket, a stage gives the rollout a width of buckets. */
import type { ModelId } from '../brands.ts';
import { sha256, utf8ToBytes } from '../hash/sha256.ts';

/** A bucket is 0.01 % of the devices. */
export const BUCKETS = 10_000;

/** The first two 32-bit words, big-endian, of SHA-256 over the UTF-8 of `text`. */
export function hashWords(text: string): readonly [number, number] {
  const hash = sha256(utf8ToBytes(text));
  const view = new DataView(hash.buffer, hash.byteOffset, hash.byteLength);
  return [view.getUint32(0), view.getUint32(4)];
}

/**
 * The device's place among 10,000, which decides membership.
 *
 * @param modelId  as the server issued it
 * @param seed     lineage seed: the decimal id of the first rollout of the lineage
 * @param deviceId as the server issued it
 * @source docs/design/rollout.md "Buckets"; golden rows in `golden/assignment.json`
 */
export function bucketOf(modelId: ModelId, seed: string, deviceId: string): number {
  return hashWords(`${modelId}:${seed}:${deviceId}`)[0] % BUCKETS;
}

/** A second, independent place of the same hash (docs/design/rollout.md "Buckets"). */
export function slotOf(modelId: ModelId, seed: string, deviceId: string): number {
  return hashWords(`${modelId}:${seed}:${deviceId}`)[1] % BUCKETS;
}

/** A stage in buckets and milliseconds, at one moment of its clock. All integers; `from` ≤ `to`. */
export interface Ramp {
  readonly from: number;
  readonly to: number;
  readonly rampMs: number;
  readonly clockMs: number;
}

/**
 * Buckets that are in after `clockMs` of a stage: `from + floor((to − from) · min(τ, R)² / R²)`, `to` where R is 0.
 *
 * Exact for ramps of any length: a day squared times 10,000 is far beyond 2^53. @source docs/design/rollout.md "Ramp"
 */
export function widthAt({ from, to, rampMs, clockMs }: Ramp): number {
  if (rampMs <= 0 || clockMs >= rampMs) return to;
  if (clockMs <= 0) return from;
  const run = BigInt(clockMs);
  const ramp = BigInt(rampMs);
  return from + Number((BigInt(to - from) * run * run) / (ramp * ramp));
}

/** Whether `bucket` lies in the range that starts at `lo`, is `width` buckets wide and wraps at 10,000. */
export function isInside(bucket: number, lo: number, width: number): boolean {
  return (bucket - lo + BUCKETS) % BUCKETS < width;
}
