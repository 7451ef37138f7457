/** Devices begin to get the version. At most one rollout of a model is live: starts decide one at a time. */
import { LifecycleError } from '../domain/errors.ts';
import { rolloutStream, versionStream } from '../domain/events/streams.ts';
import { decideVersion } from '../machines/versionDecision.ts';
import { isLive, type RolloutState } from '../machines/rollout.ts';
import { decideRollout } from '../machines/rolloutDecision.ts';
import type { Queryable } from '../store/queryable.ts';
import type { Caller, CommandDeps, Outcome } from './context.ts';
import { executeUnder, joinDecisions, type DecidedPart, type Streams } from './execute.ts';
import { requireRollout } from './existing.ts';

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
  const modelId = await modelOf(deps, rolloutId);
  return executeUnder(
    deps,
    caller,
    (tx) => deps.rollouts.lockStarts(tx, modelId),
    async (streams, tx) => {
      const rollout = await requireRollout(streams, rolloutId);
      return joinDecisions(await startParts(deps, streams, tx, rolloutId, rollout));
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
): Promise<DecidedPart[]> {
  const { modelId, version } = rollout.context;
  const state = await streams.version(modelId, version);
  const now = streams.now().getTime();
  const otherLive = await otherLiveRollout(deps, streams, tx, modelId, rolloutId);
  const started = decideRollout(rollout, { type: 'start', rolloutId, versionState: state.state, otherLive }, now);
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
  modelId: string,
  rolloutId: number,
): Promise<number | null> {
  const found = await deps.rollouts.ofModel(modelId, tx);
  for (const other of found.filter((r) => r.phase === 'live' && r.rolloutId !== rolloutId)) {
    if (isLive((await streams.rollout(other.rolloutId)).state)) return other.rolloutId;
  }
  return null;
}

/** The model of a rollout never changes, so it may be read before the lock that bears its name. */
async function modelOf(deps: CommandDeps, rolloutId: number): Promise<string> {
  const first = (await deps.log.readPart(rolloutStream(rolloutId), { limit: 1 }))[0]?.fact;
  if (first?.type !== 'RolloutCreated') {
    throw new LifecycleError('rollout_not_found', `There is no rollout ${rolloutId}.`);
  }
  return first.data.model_id;
}
