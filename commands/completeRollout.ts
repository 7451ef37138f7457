/** The version becomes the model's stable one, for everyone. */
import { modelStream, rolloutStream, versionStream } from '../domain/events/streams.ts';
import { decideModel } from '../machines/model.ts';
import { type VersionState } from '../machines/modelVersion.ts';
import { decideVersion } from '../machines/versionDecision.ts';
import { rolloutMachine, type RolloutState } from '../machines/rollout.ts';
import { decideRollout } from '../machines/rolloutDecision.ts';
import type { Caller, CommandDeps, Outcome } from './context.ts';
import { execute, joinDecisions, type DecidedPart, type Streams } from './execute.ts';
import { requireRollout } from './existing.ts';
import { foresee } from './foresee.ts';

export interface Completion {
  readonly basis: 'auto' | 'manual';
  /** Skips the bake; with a reason. */
  readonly override: boolean;
  readonly reason?: string;
}

/** RolloutCompleted + DeploymentCompleted + StableVersionChanged + VersionSuperseded of the old stable, in one append. */
export async function completeRollout(
  deps: CommandDeps,
  caller: Caller,
  input: Completion & { readonly rolloutId: number },
): Promise<Outcome> {
  const { rolloutId } = input;
  return execute(deps, caller, async (streams) => {
    const rollout = await requireRollout(streams, rolloutId);
    const { modelId, version } = rollout.context;
    await streams.preload([modelStream(modelId), versionStream(modelId, version)]);
    return joinDecisions(
      await completionParts(streams, rolloutId, rollout, await streams.version(modelId, version), input),
    );
  });
}

/** What completing adds to the four streams, from the given states of rollout and version. */
export async function completionParts(
  streams: Streams,
  rolloutId: number,
  rollout: RolloutState,
  state: VersionState,
  { basis, override, reason }: Completion,
): Promise<DecidedPart[]> {
  const { modelId, version } = rollout.context;
  const now = streams.now().getTime();
  const completed = decideRollout(
    rollout,
    { type: 'complete', basis, override, ...(reason === undefined ? {} : { reason }) },
    now,
  );
  const parts: DecidedPart[] = [{ stream: rolloutStream(rolloutId), decision: completed }];
  if (completed.kind !== 'facts') return parts;

  const { basis: shown } = foresee(rolloutMachine, rollout, completed, now).context;
  const model = await streams.model(modelId);
  const { stable } = model.context;
  parts.push(
    {
      stream: versionStream(modelId, version),
      decision: decideVersion(state, { type: 'completeDeployment', rolloutId, basis: shown }, now),
    },
    { stream: modelStream(modelId), decision: decideModel(model, { type: 'changeStable', version, rolloutId }, now) },
  );
  // A stable version that was rolled back or put back has left already.
  const old = stable === null || stable === version ? undefined : await streams.version(modelId, stable);
  if (stable !== null && old?.state === 'Deployed.live') {
    const superseded = decideVersion(old, { type: 'supersede', by: version, rolloutId }, now);
    parts.push({ stream: versionStream(modelId, stable), decision: superseded });
  }
  return parts;
}
