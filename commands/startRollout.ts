/** Devices begin to get the version. At most one rollout of a model is live: starts decide one at a time. */
import type { ModelId } from '../domain/brands.ts';
import { LifecycleError } from '../domain/errors.ts';
import { rolloutStream, versionStream } from '../domain/events/streams.ts';
import { decideVersion } from '../machines/versionDecision.ts';
import { isLive, type RolloutState } from '../machines/rollout.ts';
import { decideRollout } from '../machines/rolloutDecision.ts';
import type { Queryable } from '../store/queryable.ts';
import type { Caller, CommandDeps, Outcome } from './context.ts';
import { executeUnder, joinDecisions, type DecidedPart, type Streams } from './execute.ts';
import { requireRollout } from './existing.ts';
import { startEvidence } from './fleetEvidence.ts';

/**
 * RolloutStarted + StageEntered(0) + DeploymentStarted on the version. Refused by `alone` while another rollout of the model
 * is live.
 *
 * @throws LifecycleError `rollout_not_found`
 */
export async function startRollout(
  deps: CommandDeps,
  caller: Caller,
  { rolloutId }: { readonly rolloutId: number },
): Promise<Outcome> {
  const { modelId, spec } = await createdOf(deps, rolloutId);
  const shown = await startEvidence(deps, { modelId, spec });
  return executeUnder(
    deps,
    caller,
    (tx) => deps.rollouts.lockStarts(tx, modelId),
    async (streams, tx) => {
      const rollout = await requireRollout(streams, rolloutId);
      return joinDecisions(await startParts(deps, streams, tx, rolloutId, rollout, shown));
    },
  );
}

/** What a start adds to the rollout's and the version's stream, decided under the model's lock. */
export async function startParts(
  deps: CommandDeps,
  streams: Streams,
  tx: Queryable,
  rolloutId: number,
  rollout: RolloutState,
  shown: Awaited<ReturnType<typeof startEvidence>>,
): Promise<DecidedPart[]> {
  const { modelId, version } = rollout.context;
  const state = await streams.version(modelId, version);
  const now = streams.now().getTime();
  const otherLive = await otherLiveRollout(deps, streams, tx, modelId, rolloutId);
  const command = { type: 'start' as const, rolloutId, versionState: state.state, otherLive, ...shown };
  const started = decideRollout(rollout, command, now);
  if (started.kind !== 'facts') return [{ stream: rolloutStream(rolloutId), decision: started }];
  return [
    { stream: rolloutStream(rolloutId), decision: started },
    {
      stream: versionStream(modelId, version),
      decision: decideVersion(state, { type: 'startDeployment', rolloutId }, now),
    },
  ];
}

/** Its stream is read, so an end of that rollout that comes meanwhile is a conflict, and this is decided again. */
async function otherLiveRollout(
  deps: CommandDeps,
  streams: Streams,
  tx: Queryable,
  modelId: ModelId,
  rolloutId: number,
): Promise<number | null> {
  const found = await deps.rollouts.ofModel(modelId, tx);
  for (const other of found.filter((r) => r.phase === 'live' && r.rolloutId !== rolloutId)) {
    if (isLive((await streams.rollout(other.rolloutId)).state)) return other.rolloutId;
  }
  return null;
}

/** Model and spec of a rollout never change, so they may be read before the lock that bears the model's name. */
async function createdOf(deps: CommandDeps, rolloutId: number) {
  const first = (await deps.log.readPart(rolloutStream(rolloutId), { limit: 1 }))[0]?.fact;
  if (first?.type !== 'RolloutCreated') {
    throw new LifecycleError('rollout_not_found', `There is no rollout ${rolloutId}.`);
  }
  return { modelId: first.data.model_id, spec: first.data.spec };
}
