/** Pure. The blob that says what a round was made of, so that anyone with the updates can compute it again. */
import { canonicalJson } from '../hash/canonicalJson.ts';
import { utf8ToBytes } from '../hash/sha256.ts';
import type { AcceptedUpdate } from './acceptedRoot.ts';
import type { MetricSums } from './metrics.ts';

export interface ManifestUpdate extends AcceptedUpdate {
  readonly norm: number;
  readonly maxAbs: number;
  readonly bytes: number;
  /** As the device claimed; `weight` is what counted. */
  readonly samples: number;
  readonly metrics: MetricSums | null;
}

/**
 * Canonical JSON (RFC 8785) of a round's manifest.
 *
 * @param updates in the order of {@link acceptedRoot}
 */
export function manifestBytes(round: {
  readonly baseSha: string;
  readonly acceptedRoot: string;
  readonly updates: readonly ManifestUpdate[];
}): Uint8Array {
  const updates = round.updates.map((u) => ({
    update_sha: u.updateSha,
    pseudonym: u.pseudonymHex,
    weight: u.weight,
    norm: u.norm,
    max_abs: u.maxAbs,
    bytes: u.bytes,
    samples: u.samples,
    metrics: u.metrics,
  }));
  return utf8ToBytes(canonicalJson({ v: 1, base_sha: round.baseSha, accepted_root: round.acceptedRoot, updates }));
}
