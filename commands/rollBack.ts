/** The kill switch: one append marks the bad version for ever and puts a good one back. */
import type { ModelId } from '../domain/brands.ts';
import type { HealthJudgement, RollbackTrigger } from '../domain/events/rollout.ts';
import { rolloutStream, versionStream } from '../domain/events/streams.ts';
import { guard, refuseByGuards } from '../machines/decision.ts';
import type { ModelState } from '../machines/model.ts';
import { decideVersion } from '../machines/versionDecision.ts';
import { isLive, type RolloutState } from '../machines/rollout.ts';
import { decideRollout } from '../machines/rolloutDecision.ts';
import type { Caller, CommandDeps, Outcome } from './context.ts';
import { execute, joinDecisions, type Conclusion, type DecidedPart, type Streams } from './execute.ts';
import { requireModel, requireRollout, requireVersion } from './existing.ts';
import { restoreParts, restoreTarget, withdrawParts, type RestoreTarget } from './restore.ts';

export interface Rollback {
  /** A version that a person names to go back to: it was stable once and is not rolled back. It may have been aborted. */
  readonly targetVersion?: string;
  readonly reason: string;
  readonly trigger: RollbackTrigger;
  readonly evidence?: HealthJudgement;
}

export interface RollBackModel extends Rollback {
  readonly modelId: ModelId;
  /**
   * The version that must go; without it, the one in force when this command first looked. A repeat under another command id is
   * then `already`; without it, it would roll back the version that the first one put back.
   */
  readonly fromVersion?: string;
}

/**
 * RolloutRolledBack + VersionRolledBack, and StableVersionRestored (+ VersionRestored where the target stood by): a live rollout
 * returns to what is stable at this moment, a completed one to what was stable before and may come back. To nothing where there
 * is none. With a model: its live rollout, else the one that made its stable version so.
 *
 * @throws LifecycleError `model_not_found`; by id, `rollout_not_found`
 */
export async function rollBack(
  deps: CommandDeps,
  caller: Caller,
  input: (Rollback & { readonly rolloutId: number }) | RollBackModel,
): Promise<Outcome & { readonly rolloutId: number }> {
  let rolloutId = 'rolloutId' in input ? input.rolloutId : 0;
  // Decided again after a conflict, it still means the version it meant: two people who press at once take one version away.
  let meant = 'modelId' in input ? input.fromVersion : undefined;
  const outcome = await execute(deps, caller, async (streams) => {
    if ('modelId' in input) {
      const inForce = await rolloutInForce(deps, streams, input.modelId);
      if (inForce === undefined) return nothingInForce(await requireModel(streams, input.modelId));
      rolloutId = inForce;
    }
    const rollout = await requireRollout(streams, rolloutId);
    meant ??= rollout.context.version;
    const elsewhere = 'modelId' in input ? await notInForce(streams, input.modelId, meant, rollout) : undefined;
    if (elsewhere) return elsewhere;
    const { parts, target } = await rollbackParts(streams, rolloutId, rollout, input);
    if ('modelId' in input && rollout.state === 'Completed' && target.kind === 'nothing')
      return nowhere(rollout, rolloutId);
    return joinDecisions(parts);
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
  const target = await restoreTarget(streams, rollout, model, targetVersion);
  const rolledBack = decideRollout(
    rollout,
    {
      type: 'rollback',
      target: target.kind === 'version' ? target.version : null,
      named: targetVersion !== undefined,
      ...(target.kind === 'not_allowed' ? { noTarget: target.why } : {}),
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
    for (const part of await restoreParts(streams, modelId, model, restored)) parts.push(part);
  }
  if (target.kind === 'nothing') {
    const leaving = { leaving: version, rolloutId, reason };
    for (const part of withdrawParts(streams, modelId, model, leaving)) parts.push(part);
  }
  return { parts, target };
}

/**
 * A kill switch that is pressed twice must not take the good version away as well: by model, a stable version with nothing
 * behind it stays. Whoever means it names its rollout.
 */
function nowhere({ state, context }: RolloutState, rolloutId: number): Conclusion {
  const why = `${context.version} is stable, and no other version may come back`;
  const howToMeet = `to withdraw it all the same, roll back rollout ${rolloutId} by its id`;
  return refuseByGuards(state, 'rollback', [guard('target', false, why, howToMeet)], 'guard_refused');
}

/** What to answer where the version in force is not the one that must go; undefined where it is. */
async function notInForce(
  streams: Streams,
  modelId: ModelId,
  fromVersion: string,
  { state, context }: RolloutState,
): Promise<Conclusion | undefined> {
  if (fromVersion === context.version) return undefined;
  if ((await requireVersion(streams, modelId, fromVersion)).state === 'Rollback') return { kind: 'already' };
  const why = `${context.version} is in force, not ${fromVersion}`;
  const guards = [guard('inForce', false, why, `roll back ${context.version}, or leave from_version out`)];
  return refuseByGuards(state, 'rollback', guards, 'guard_refused');
}

/** A live rollout, else the one that made the stable version so; undefined where there is neither. */
async function rolloutInForce(deps: CommandDeps, streams: Streams, modelId: ModelId): Promise<number | undefined> {
  const model = await requireModel(streams, modelId);
  const found = await deps.rollouts.ofModel(modelId);
  for (const { rolloutId } of found.filter((r) => r.phase === 'live')) {
    if (isLive((await streams.rollout(rolloutId)).state)) return rolloutId;
  }
  const { stable } = model.context;
  return found.find((r) => r.phase === 'completed' && r.version === stable)?.rolloutId;
}

function nothingInForce({ state, context }: ModelState): Conclusion {
  const why = `no rollout of ${context.name} is live, and none made a version stable`;
  const guards = [guard('inForce', false, why, 'there is nothing to go back from: deploy a version first')];
  return refuseByGuards(state, 'rollback', guards, 'guard_refused');
}
