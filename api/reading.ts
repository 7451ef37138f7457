/** Reads of single things: a fold of their stream, as it is now or as it was, for one organisation. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ownerOf } from '../commands/ownership.ts';
import type { LogIndex, ModelId, Semver } from '../domain/brands.ts';
import { LifecycleError } from '../domain/errors.ts';
import type { EventIn, SequencedEvent, StoredEvent } from '../domain/events/envelope.ts';
import {
  modelStream,
  rolloutStream,
  trainingStream,
  versionStream,
  type StreamKind,
  type StreamName,
} from '../domain/events/streams.ts';
import { modelIdOf } from '../domain/hash/uuid.ts';
import { UUID } from '../domain/names.ts';
import type { OrgId } from '../domain/org.ts';
import { exists, type Existing, type Folded } from '../machines/fold.ts';
import type { ModelContext, ModelState } from '../machines/model.ts';
import type { VersionState } from '../machines/modelVersion.ts';
import { machineFor, stateOf, type StateByKind } from '../machines/registry.ts';
import type { RolloutState } from '../machines/rollout.ts';
import type { TrainingState } from '../machines/trainingRun.ts';
import type { EventStore, StreamPart } from '../store/log/eventStore.ts';
import { foldStreams, type FoldLog } from '../store/snapshots/foldStreams.ts';
import type { ModelOwners } from '../store/orgs/modelOwners.ts';
import type { RolloutFinder } from '../store/rollouts/rolloutFinder.ts';
import { laneFor } from './lane.ts';
import { whoAsks } from './access/principal.ts';

export interface Reading extends ReadingLane {
  /** What a stop reads through. */
  readonly stops: ReadingLane;
}

interface ReadingLane {
  readonly log: FoldLog &
    Pick<EventStore, 'readPart' | 'readLog' | 'resolveAsOf' | 'head' | 'logIndexOf' | 'awaitLogIndex'>;
  readonly commands: { readonly owners: ModelOwners; readonly rollouts: Pick<RolloutFinder, 'rolledBack'> };
}

export interface Read<S extends Folded<unknown>> {
  readonly state: S;
  /** The first fact of the stream; undefined where there is none. */
  readonly first: StoredEvent | undefined;
}

/** One point of the log, from which a request reads everything it reads. A stream of another organisation is empty in it. */
export interface View {
  readonly orgId: OrgId;
  /** Log index up to which facts are surely in; every read is at it, or newer where it is not fixed. */
  readonly position: LogIndex;
  /** Time by which clocks of charts are read: now, or when the position was given out. */
  readonly at: number;
  readonly isPast: boolean;
  model(modelId: ModelId): Promise<Read<ModelState>>;
  version(modelId: ModelId, version: Semver): Promise<Read<VersionState>>;
  /** The same of several, in their order, by one query. */
  versions(modelId: ModelId, versions: readonly string[]): Promise<Read<VersionState>[]>;
  training(runId: string): Promise<Read<TrainingState>>;
  rollout(rolloutId: number): Promise<Read<RolloutState>>;
  /** Versions of a model that were rolled back. */
  rolledBack(modelId: ModelId): Promise<ReadonlySet<string>>;
  stream(stream: string): Promise<Read<Folded<unknown>>>;
  /** Facts of a stream, for what a fold does not hold; all of them where no part is named. */
  facts<S extends string>(stream: S, part?: Omit<StreamPart, 'upTo'>): Promise<readonly EventIn<S>[]>;
}

/**
 * The view of a request's organisation: as of `as_of`, else now. Sets `EdgeML-Position`.
 *
 * @throws LifecycleError as {@link asOfIndex} says
 */
export async function viewOf(
  deps: Reading,
  request: FastifyRequest,
  reply: FastifyReply,
  asOf?: string,
): Promise<View> {
  const lane = laneFor<ReadingLane>(deps, request);
  const { log } = lane;
  const { orgId } = whoAsks(request);
  const upTo = asOf === undefined ? undefined : await asOfIndex(deps, orgId, asOf);
  // Before the streams are read, so that all facts up to it are in them.
  const position = upTo ?? (await log.head());
  reply.header('edgeml-position', String(position));
  const all = async (names: readonly string[]): Promise<Read<Folded<unknown>>[]> => {
    const { streams, afterwards } = await foldStreams(log, names, { upTo });
    // A stop leaves nothing to be written before its own facts; its command does, after them.
    if (lane === deps) afterwards();
    return Promise.all(
      names.map(async (name) => {
        const { first, folded } = streams.get(name)!;
        const isOwn = await isOf(lane, orgId, first);
        return isOwn ? { state: folded, first } : { state: machineFor(name).initial(), first: undefined };
      }),
    );
  };
  const stream = async (name: string): Promise<Read<Folded<unknown>>> => (await all([name]))[0]!;
  const one = async <K extends StreamKind>(name: StreamName<K>): Promise<Read<StateByKind[K]>> => {
    const { state, first } = await stream(name);
    return { state: stateOf(name, state), first };
  };
  return {
    orgId,
    position,
    at: upTo === undefined ? Date.now() : await givenOutAt(log, upTo),
    isPast: upTo !== undefined,
    model: (id) => one(modelStream(id)),
    version: (id, version) => one(versionStream(id, version)),
    versions: async (id, versions) => {
      const names = versions.map((version) => versionStream(id, version));
      return (await all(names)).map(({ state, first }, i) => ({ state: stateOf(names[i]!, state), first }));
    },
    training: (id) => one(trainingStream(id)),
    rollout: (id) => one(rolloutStream(id)),
    rolledBack: (id) => lane.commands.rollouts.rolledBack(id, upTo),
    stream,
    async facts<S extends string>(name: S, part: Omit<StreamPart, 'upTo'> = {}): Promise<readonly EventIn<S>[]> {
      const [first] = await log.readPart(name, { limit: 1, upTo });
      return (await isOf(lane, orgId, first)) ? log.readPart(name, { ...part, upTo }) : [];
    },
  };
}

/** Whether the stream that begins with `first` exists, and is the organisation's. */
const isOf = async ({ commands }: ReadingLane, orgId: OrgId, first: StoredEvent | undefined): Promise<boolean> =>
  first !== undefined && (await ownerOf(commands.owners, first)) === orgId;

/**
 * An event that has its place in the log.
 *
 * @param unknown what the caller is told of an event that is not there, word for word: another organisation's gets the same
 * @throws LifecycleError `event_not_found`, also for another organisation's
 */
export async function ownEvent(
  deps: Reading,
  orgId: OrgId,
  id: string,
  unknown = `There is no event ${id}.`,
): Promise<SequencedEvent> {
  const index = await deps.log.logIndexOf(id);
  const [event] = typeof index === 'number' ? await deps.log.readLog(index - 1, 1) : [];
  const [first] = event ? await deps.log.readPart(event.stream, { limit: 1 }) : [];
  if (event && (await isOf(deps, orgId, first))) return event;
  const detail = index === null ? `Event ${id} has no place in the log yet.` : unknown;
  throw new LifecycleError('event_not_found', detail);
}

/**
 * `as_of` → log index, for one organisation.
 *
 * @throws LifecycleError as `resolveAsOf` says; `event_not_found` also for another organisation's event
 */
export async function asOfIndex(deps: Reading, orgId: OrgId, asOf: string): Promise<LogIndex> {
  const index = await deps.log.resolveAsOf(asOf);
  const id = eventIn(asOf);
  if (id !== undefined) await ownEvent(deps, orgId, id, `as_of names event ${id}, which is not stored`);
  return index;
}

/** The id in `event:<id>`; undefined for a position or a time. */
export const eventIn = (place: string): string | undefined =>
  place.startsWith('event:') ? place.slice('event:'.length) : undefined;

/** Unix ms at which the log index was given out; 0 before the first. */
async function givenOutAt(log: Reading['log'], logIndex: LogIndex): Promise<number> {
  const [event] = logIndex < 0 ? [] : await log.readLog(logIndex - 1, 1);
  return event ? Date.parse(event.sequencedAt) : 0;
}

/** `{m}` of a path or body: an id, or a name in any spelling; a `:suffix` is cut off. It need not exist, nor be the organisation's. */
export function modelIdFrom(orgId: OrgId, text: string): string {
  const bare = text.split(':')[0]!.trim();
  return UUID.test(bare) ? bare.toLowerCase() : modelIdOf(orgId, bare);
}

/** @throws LifecycleError `model_not_found`, also for another organisation's */
export async function existingModel(view: View, text: string): Promise<ModelState & { id: string }> {
  const id = modelIdFrom(view.orgId, text);
  const { state } = await view.model(id);
  if (state.version > 0) return { ...state, id };
  throw new LifecycleError('model_not_found', `There is no model ${text}${when(view)}.`);
}

/** @throws LifecycleError `version_not_found` */
export async function existingVersion(
  view: View,
  model: { id: string; context: ModelContext },
  version: Semver,
): Promise<Existing<VersionState>> {
  const { state } = await view.version(model.id, version);
  if (exists(state)) return state;
  throw new LifecycleError('version_not_found', `Model ${model.context.name} has no version ${version}${when(view)}.`);
}

/** @throws LifecycleError `rollout_not_found`, also for another organisation's */
export async function existingRollout(view: View, rolloutId: number): Promise<Existing<RolloutState>> {
  const { state } = await view.rollout(rolloutId);
  if (exists(state)) return state;
  throw new LifecycleError('rollout_not_found', `There is no rollout ${rolloutId}${when(view)}.`);
}

/** @throws LifecycleError `training_not_found`, also for another organisation's */
export async function existingRun(view: View, runId: string): Promise<Existing<TrainingState>> {
  const { state } = await view.training(runId);
  if (exists(state)) return state;
  throw new LifecycleError('training_not_found', `There is no training run ${runId}${when(view)}.`);
}

const when = (view: View) => (view.isPast ? ` at position ${view.position}` : '');
