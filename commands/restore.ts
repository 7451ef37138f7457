/** Which version devices go back to, and what that adds to the streams of the model and its versions. */
import { modelStream, versionStream } from '../domain/events/streams.ts';
import { decideModel, type ModelState } from '../machines/model.ts';
import { decideVersion, isUsable } from '../machines/modelVersion.ts';
import type { RolloutState } from '../machines/rollout.ts';
import type { DecidedPart, Streams } from './execute.ts';

export type RestoreTarget =
  | { readonly kind: 'version'; readonly version: string }
  /** No other version ever was stable, or none of them may be used and the rollout cannot be paused: devices are told nothing. */
  | { readonly kind: 'nothing' }
  | { readonly kind: 'none_usable'; readonly why: string };

/**
 * The version that was stable most recently, is not the one that leaves and may still be used; or `wanted`, if it is such a
 * one. A version that an abort put back ranks by when devices returned to it.
 */
export async function restoreTarget(
  streams: Streams,
  { state, context: { modelId, version: leaving } }: RolloutState,
  model: ModelState,
  wanted?: string,
): Promise<RestoreTarget> {
  const others = model.context.stableHistory.filter((v) => v !== leaving);
  if (wanted !== undefined && !others.includes(wanted)) {
    return { kind: 'none_usable', why: `${wanted} never was the stable version besides ${leaving}` };
  }
  if (others.length === 0) return { kind: 'nothing' };
  const candidates = wanted === undefined ? others.toReversed() : [wanted];
  for (const version of candidates) {
    if (isUsable((await streams.version(modelId, version)).state)) return { kind: 'version', version };
  }
  // Completed knows no pause: were this refused too, nothing could stop the bad version.
  if (state === 'Completed' && wanted === undefined) return { kind: 'nothing' };
  return { kind: 'none_usable', why: `${candidates.join(', ')}: rolled back` };
}

/** StableVersionRestored to nothing, where the version that leaves is the stable one. */
export function withdrawParts(
  streams: Streams,
  modelId: string,
  model: ModelState,
  withdrawn: { readonly leaving: string; readonly rolloutId: number; readonly reason: string },
): DecidedPart[] {
  const { leaving, rolloutId, reason } = withdrawn;
  if (model.context.stable !== leaving) return [];
  const command = { type: 'restoreStable', version: null, fromVersion: leaving, rolloutId, reason } as const;
  return [{ stream: modelStream(modelId), decision: decideModel(model, command, streams.now().getTime()) }];
}

/** StableVersionRestored, VersionRestored where the target stood by, VersionSuperseded of another stable that it replaces. */
export async function restoreParts(
  streams: Streams,
  modelId: string,
  model: ModelState,
  restored: { readonly target: string; readonly leaving: string; readonly rolloutId: number; readonly reason: string },
): Promise<DecidedPart[]> {
  const { target, leaving, rolloutId, reason } = restored;
  const now = streams.now().getTime();
  const stable = decideModel(
    model,
    { type: 'restoreStable', version: target, fromVersion: leaving, rolloutId, reason },
    now,
  );
  const parts: DecidedPart[] = [{ stream: modelStream(modelId), decision: stable }];

  const state = await streams.version(modelId, target);
  // Where another rollout is bringing it out again, it is on its way already.
  if (state.state !== 'Deployed.rolling') {
    const decision = decideVersion(state, { type: 'restore', rolloutId }, now);
    parts.push({ stream: versionStream(modelId, target), decision });
  }
  const before = model.context.stable;
  if (before !== null && before !== target && before !== leaving) {
    const replaced = await streams.version(modelId, before);
    if (replaced.state === 'Deployed.live') {
      const decision = decideVersion(replaced, { type: 'supersede', by: target, rolloutId }, now);
      parts.push({ stream: versionStream(modelId, before), decision });
    }
  }
  return parts;
}
