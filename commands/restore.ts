/** Which version devices go back to, and what that adds to the streams of the model and its versions. */
import type { ModelId, Semver } from '../domain/brands.ts';
import { modelStream, versionStream } from '../domain/events/streams.ts';
import { decideModel, type ModelState } from '../machines/model.ts';
import { decideVersion } from '../machines/versionDecision.ts';
import type { RolloutState } from '../machines/rollout.ts';
import { mayReturn, versionsToReturnTo, whyNotTo } from '../machines/wayBack.ts';
import type { DecidedPart, Streams } from './execute.ts';

export type RestoreTarget =
  | { readonly kind: 'version'; readonly version: Semver }
  /** Devices are told nothing: no version is in force besides the one that leaves. */
  | { readonly kind: 'nothing' }
  /** A person named a version that may not come back. */
  | { readonly kind: 'not_allowed'; readonly why: string };

/**
 * What is in force besides the version that leaves; for a completed rollout, the newest other version that was stable and that
 * nobody aborted or rolled back; or `wanted`, which a person named.
 */
export async function restoreTarget(
  streams: Streams,
  { state, context: { modelId, version: leaving } }: RolloutState,
  model: ModelState,
  wanted?: string,
): Promise<RestoreTarget> {
  if (wanted !== undefined) {
    const why = whyNotTo(await streams.version(modelId, wanted), wanted, model.context, leaving);
    return why === undefined ? { kind: 'version', version: wanted } : { kind: 'not_allowed', why };
  }
  for (const version of versionsToReturnTo(model.context, leaving, state === 'Completed')) {
    const isInForce = version === model.context.stable;
    if (mayReturn(await streams.version(modelId, version), isInForce)) return { kind: 'version', version };
  }
  return { kind: 'nothing' };
}

/** StableVersionRestored to nothing, where the version that leaves is the stable one. */
export function withdrawParts(
  streams: Streams,
  modelId: ModelId,
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
  modelId: ModelId,
  model: ModelState,
  restored: { readonly target: Semver; readonly leaving: string; readonly rolloutId: number; readonly reason: string },
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
