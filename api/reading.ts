/** Reads of single things: a fold of their stream, as it is now or as it was. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { LifecycleError } from '../domain/errors.ts';
import type { StoredEvent } from '../domain/events/envelope.ts';
import { modelStream, rolloutStream, trainingStream, versionStream } from '../domain/events/streams.ts';
import { modelIdOf } from '../domain/hash/uuid.ts';
import type { Folded } from '../machines/fold.ts';
import type { ModelContext, ModelState } from '../machines/model.ts';
import type { VersionContext, VersionState } from '../machines/modelVersion.ts';
import { machineFor } from '../machines/registry.ts';
import type { RolloutContext, RolloutState } from '../machines/rollout.ts';
import type { TrainingContext, TrainingState } from '../machines/trainingRun.ts';
import type { EventStore } from '../store/log/eventStore.ts';
import { whoAsks } from './access/principal.ts';

type Log = Pick<EventStore, 'readStream' | 'readLog' | 'resolveAsOf' | 'head'>;

export interface Read<C> {
  readonly state: Folded<C>;
  readonly events: readonly StoredEvent[];
}

/** One point of the log, from which a request reads everything it reads. */
export interface View {
  /** Log index up to which facts are surely in; every read is at it, or newer where it is not fixed. */
  readonly position: number;
  /** Time by which clocks of charts are read: now, or when the position was given out. */
  readonly at: number;
  readonly isPast: boolean;
  model(modelId: string): Promise<Read<ModelContext>>;
  version(modelId: string, version: string): Promise<Read<VersionContext>>;
  training(runId: string): Promise<Read<TrainingContext>>;
  rollout(rolloutId: number): Promise<Read<RolloutContext>>;
  stream(stream: string): Promise<Read<unknown>>;
}

/** The view of a request: as of `as_of`, else now. Sets `EdgeML-Position`. @throws LifecycleError as `resolveAsOf` says */
export async function viewOf(log: Log, reply: FastifyReply, asOf?: string): Promise<View> {
  const upTo = asOf === undefined ? undefined : await log.resolveAsOf(asOf);
  // Before the streams are read, so that all facts up to it are in them.
  const position = upTo ?? (await log.head());
  reply.header('edgeml-position', String(position));
  const stream = async <C>(name: string): Promise<Read<C>> => {
    const events = await log.readStream(name, upTo);
    // The kind in the stream's name chose the machine, and the machine fixes the context type.
    return { state: machineFor(name).fold(events) as Folded<C>, events };
  };
  return {
    position,
    at: upTo === undefined ? Date.now() : await givenOutAt(log, upTo),
    isPast: upTo !== undefined,
    model: (id) => stream(modelStream(id)),
    version: (id, version) => stream(versionStream(id, version)),
    training: (id) => stream(trainingStream(id)),
    rollout: (id) => stream(rolloutStream(id)),
    stream,
  };
}

/** Unix ms at which the log index was given out; 0 before the first. */
async function givenOutAt(log: Log, logIndex: number): Promise<number> {
  const [event] = logIndex < 0 ? [] : await log.readLog(logIndex - 1, 1);
  return event ? Date.parse(event.sequencedAt) : 0;
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** `{m}` of a path or body: an id, or a name in any case; a `:suffix` is cut off. It need not exist. */
export function modelIdFrom(orgId: string, text: string): string {
  const bare = text.split(':')[0]!;
  return UUID.test(bare) ? bare.toLowerCase() : modelIdOf(orgId, bare);
}

/** @throws LifecycleError `model_not_found`, also for another organisation's */
export async function existingModel(
  view: View,
  request: FastifyRequest,
  text: string,
): Promise<ModelState & { id: string }> {
  const { orgId } = whoAsks(request);
  const id = modelIdFrom(orgId, text);
  const { state } = await view.model(id);
  if (state.version > 0 && state.context.orgId === orgId) return { ...state, id };
  throw new LifecycleError('model_not_found', `There is no model ${text}${when(view)}.`);
}

/** @throws LifecycleError `version_not_found` */
export async function existingVersion(
  view: View,
  model: { id: string; context: ModelContext },
  version: string,
): Promise<VersionState> {
  const { state } = await view.version(model.id, version);
  if (state.version > 0) return state;
  throw new LifecycleError('version_not_found', `Model ${model.context.name} has no version ${version}${when(view)}.`);
}

/** @throws LifecycleError `rollout_not_found`, also for another organisation's */
export async function existingRollout(view: View, request: FastifyRequest, rolloutId: number): Promise<RolloutState> {
  const { state } = await view.rollout(rolloutId);
  if (state.version > 0 && (await isOfOrg(view, request, state.context.modelId))) return state;
  throw new LifecycleError('rollout_not_found', `There is no rollout ${rolloutId}${when(view)}.`);
}

/** @throws LifecycleError `training_not_found`, also for another organisation's */
export async function existingRun(view: View, request: FastifyRequest, runId: string): Promise<TrainingState> {
  const { state } = await view.training(runId);
  const modelId = state.context.spec?.model_id;
  if (state.version > 0 && modelId !== undefined && (await isOfOrg(view, request, modelId))) return state;
  throw new LifecycleError('training_not_found', `There is no training run ${runId}${when(view)}.`);
}

/** False for a model that does not exist, and for no id at all. */
export async function isOfOrg(view: View, request: FastifyRequest, modelId: string): Promise<boolean> {
  if (modelId === '') return false;
  return (await view.model(modelId)).state.context.orgId === whoAsks(request).orgId;
}

const when = (view: View) => (view.isPast ? ` at position ${view.position}` : '');
