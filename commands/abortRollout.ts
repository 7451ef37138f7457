/** Devices go back, without blame: the version stands by and may be rolled out again. */
import { rolloutStream, versionStream } from '../domain/events/streams.ts';
import { versionMachine } from '../machines/modelVersion.ts';
import { decideVersion } from '../machines/versionDecision.ts';
import { decideRollout } from '../machines/rolloutDecision.ts';
import type { Caller, CommandDeps, Outcome } from './context.ts';
import { execute, joinDecisions, type Conclusion, type DecidedPart, type Streams } from './execute.ts';
import { requireRollout } from './existing.ts';
import { foresee } from './foresee.ts';
import { restoreParts, restoreTarget, withdrawParts } from './restore.ts';

/**
 * RolloutAborted; VersionSuperseded where the version was deployed; from Completed also StableVersionRestored and
 * VersionRestored; StableVersionRestored to nothing where no other version may come back.
 */
export async function abortRollout(
  deps: CommandDeps,
  caller: Caller,
  { rolloutId, reason }: { readonly rolloutId: number; readonly reason: string },
): Promise<Outcome> {
  return execute(deps, caller, (streams) => concludeAbort(streams, rolloutId, reason));
}

async function concludeAbort(streams: Streams, rolloutId: number, reason: string): Promise<Conclusion> {
  const rollout = await requireRollout(streams, rolloutId);
  const { modelId, version } = rollout.context;
  const model = await streams.model(modelId);
  const now = streams.now().getTime();
  const { stable } = model.context;
  const aborted = decideRollout(rollout, { type: 'abort', reason, isStable: stable === version }, now);
  const parts: DecidedPart[] = [{ stream: rolloutStream(rolloutId), decision: aborted }];
  if (aborted.kind !== 'facts' || rollout.state === 'Pending') return joinDecisions(parts);

  const completed = rollout.state === 'Completed';
  const target = completed ? await restoreTarget(streams, rollout, model) : undefined;
  const by = target?.kind === 'version' ? target.version : completed || stable === version ? null : stable;
  const state = await streams.version(modelId, version);
  const superseded = decideVersion(state, { type: 'supersede', by, rolloutId }, now);
  parts.push({ stream: versionStream(modelId, version), decision: superseded });
  if (!completed && stable === version) {
    // It is the stable version meanwhile (another rollout went back to it): everyone keeps it, the rollout is all that ends.
    const after = foresee(versionMachine, state, superseded, now);
    const decision = decideVersion(after, { type: 'restore', rolloutId }, now);
    parts.push({ stream: versionStream(modelId, version), decision });
  }
  if (target?.kind === 'version') {
    const restored = { target: target.version, leaving: version, rolloutId, reason };
    for (const part of await restoreParts(streams, modelId, model, restored)) parts.push(part);
  }
  if (target?.kind === 'nothing') {
    const leaving = { leaving: version, rolloutId, reason };
    for (const part of withdrawParts(streams, modelId, model, leaving)) parts.push(part);
  }
  return joinDecisions(parts);
}
