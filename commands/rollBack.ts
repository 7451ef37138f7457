/** The kill switch: one append marks the bad version for ever and puts a good one back. */
import { LifecycleError } from '../domain/errors.ts';
import type { Judgement } from '../domain/events/rollout.ts';
import { rolloutStream, versionStream } from '../domain/events/streams.ts';
import { decideVersion } from '../machines/modelVersion.ts';
import { decideRollout, isLive, type RolloutState } from '../machines/rollout.ts';
import type { Caller, CommandDeps, Outcome } from './context.ts';
import { execute, joinDecisions, type DecidedPart, type Streams } from './execute.ts';
import { existingModel, existingRollout } from './existing.ts';
import { restoreParts, restoreTarget, type RestoreTarget } from './restore.ts';

export interface Rollback {
  /** An older version to go back to; it was stable once and is not rolled back. */
  readonly targetVersion?: string;
  readonly reason: string;
  readonly trigger: 'verdict' | 'manual';
  readonly evidence?: Judgement;
}

/**
 * RolloutRolledBack + VersionRolledBack + StableVersionRestored (+ VersionRestored where the target stood by); only the first
 * two where no other version ever was stable. With a model: its live rollout, else the one that made its stable version so.
 *
 * @throws LifecycleError `rollout_not_found`, `model_not_found`
 */
export async function rollBack(
  deps: CommandDeps,
  caller: Caller,
  input: Rollback & ({ readonly rolloutId: number } | { readonly modelId: string }),
): Promise<Outcome & { readonly rolloutId: number }> {
  let rolloutId = 'rolloutId' in input ? input.rolloutId : 0;
  const outcome = await execute(deps, caller, async (streams) => {
    if ('modelId' in input) rolloutId = await rolloutInForce(deps, streams, input.modelId);
    const rollout = await existingRollout(streams, rolloutId);
    return joinDecisions((await rollbackParts(streams, rolloutId, rollout, input)).parts);
  });
  const stream = 'events' in outcome ? outcome.events.find((e) => e.type === 'RolloutRolledBack')?.stream : undefined;
  return { ...outcome, rolloutId: stream === undefined ? rolloutId : Number(stream.slice('rollout-'.length)) };
}

/** What a rollback adds to up to five streams, from the given state of the rollout; and where devices go. */
export async function rollbackParts(
  streams: Streams,
  rolloutId: number,
  rollout: RolloutState,
  { targetVersion, reason, trigger, evidence }: Rollback,
): Promise<{ readonly parts: DecidedPart[]; readonly target: RestoreTarget }> {
  const { modelId, version } = rollout.context;
  const model = await streams.model(modelId);
  const now = streams.now().getTime();
  const target = await restoreTarget(streams, modelId, model, version, targetVersion);
  const rolledBack = decideRollout(
    rollout,
    {
      type: 'rollback',
      target: target.kind === 'version' ? target.version : null,
      ...(target.kind === 'none_usable' ? { noTarget: target.why } : {}),
      trigger,
      reason,
      evidence: evidence ?? null,
      isStable: model.context.stable === version,
    },
    now,
  );
  const parts: DecidedPart[] = [{ stream: rolloutStream(rolloutId), decision: rolledBack }];
  if (rolledBack.kind !== 'facts') return { parts, target };

  const bad = await streams.version(modelId, version);
  const marked = decideVersion(bad, { type: 'rollBack', rolloutId, reason }, now);
  parts.push({ stream: versionStream(modelId, version), decision: marked });
  if (target.kind === 'version') {
    const restored = { target: target.version, leaving: version, rolloutId, reason };
    parts.push(...(await restoreParts(streams, modelId, model, restored)));
  }
  return { parts, target };
}

async function rolloutInForce(deps: CommandDeps, streams: Streams, modelId: string): Promise<number> {
  const model = await existingModel(streams, modelId);
  const found = await deps.rollouts.ofModel(modelId);
  for (const { rolloutId } of found.filter((r) => r.phase === 'live')) {
    if (isLive((await streams.rollout(rolloutId)).state)) return rolloutId;
  }
  const { stable } = model.context;
  const made = found.find((r) => r.phase === 'completed' && r.version === stable);
  if (made) return made.rolloutId;
  throw new LifecycleError(
    'rollout_not_found',
    `No rollout of model ${modelId} is live, and none made a version stable.`,
  );
}
