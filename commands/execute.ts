/**
 * The one way a fact gets into the log: load the streams and ask whether the command is known, decide, append once with the
 * versions that were read, and decide again on a conflict. A crash before the append leaves nothing; after it, a repeat of the
 * command id gets the first outcome before anything is decided.
 */
import type { ModelId, Semver } from '../domain/brands.ts';
import { currentSchemaVersion } from '../domain/events/codec.ts';
import { modelStream, parseStream, rolloutStream, trainingStream, versionStream } from '../domain/events/streams.ts';
import type { AnyFact, StreamKind, StreamName } from '../domain/events/streams.ts';
import { LifecycleError } from '../domain/errors.ts';
import { noSuchStream, ownerOf, toGrant } from './ownership.ts';
import type { Refusal } from '../domain/refusal.ts';
import type { Decision } from '../machines/decision.ts';
import type { Folded } from '../machines/fold.ts';
import type { ModelState } from '../machines/model.ts';
import type { VersionState } from '../machines/modelVersion.ts';
import { machineFor, stateOf, type StateByKind } from '../machines/registry.ts';
import { foldStreams, type FoldedStream } from '../store/snapshots/foldStreams.ts';
import type { RolloutState } from '../machines/rollout.ts';
import type { TrainingState } from '../machines/trainingRun.ts';
import type { AppendRequest, AppendResult, Known } from '../store/log/eventStore.ts';
import type { Queryable } from '../store/queryable.ts';
import { laneOf, type Caller, type CommandDeps, type Outcome } from './context.ts';

/** The streams a use case reads. Whatever is read is also expected at that version when it appends. */
export interface Streams {
  model(modelId: ModelId): Promise<ModelState>;
  version(modelId: ModelId, version: Semver): Promise<VersionState>;
  training(runId: string): Promise<TrainingState>;
  rollout(rolloutId: number): Promise<RolloutState>;
  /** Loads several streams in one query, ahead of the calls above. */
  preload(streams: readonly string[]): Promise<void>;
  /** The database's clock at the first load. */
  now(): Date;
}

export interface NewFact {
  readonly stream: string;
  readonly fact: AnyFact;
}

/** What a use case concludes. `also` writes the rows that belong to the facts, in the same transaction. */
export type Conclusion =
  | { readonly kind: 'append'; readonly facts: readonly NewFact[]; readonly also?: (tx: Queryable) => Promise<void> }
  | { readonly kind: 'already' }
  | { readonly kind: 'refused'; readonly refusal: Refusal };

/** No fact follows, and rows change all the same: only under a lock, in its transaction. The outcome is `already`. */
export interface RowsAlone {
  readonly kind: 'rows';
  readonly write: (tx: Queryable) => Promise<void>;
}

/** Stops are decided from the last good state; every other command on a diverged stream is refused. */
export const DIVERGED = 'stream_diverged';
const REDECIDE_LIMIT = 20;

class KnownCommand extends Error {
  readonly known: Known;
  constructor(known: Known) {
    super('command is known');
    this.known = known;
  }
}

function createStreams(
  { log, owners }: Pick<CommandDeps, 'log' | 'owners'>,
  caller: Caller,
  upkeep: (() => void)[],
): Streams & { versions: Map<string, number> } {
  const folded = new Map<string, Folded<unknown>>();
  const versions = new Map<string, number>();
  let now: Date | undefined;

  async function preload(streams: readonly string[]): Promise<void> {
    const wanted = streams.filter((s) => !folded.has(s));
    if (wanted.length === 0) return;
    // Only the first load asks for the command id: later ones are part of the same decision.
    const command = now === undefined ? { id: caller.commandId, hash: caller.commandHash } : undefined;
    const loaded = await foldStreams(log, wanted, { command });
    upkeep.push(() => loaded.afterwards());
    if (loaded.known) throw new KnownCommand(loaded.known);
    now ??= loaded.now;
    for (const [stream, found] of loaded.streams) await remember(stream, found);
  }

  async function remember(stream: string, { first, folded: state }: FoldedStream): Promise<void> {
    if (caller.orgId !== null && first && (await ownerOf(owners, first)) !== caller.orgId) throw noSuchStream(stream);
    if (state.divergence && caller.onConflict !== 'stop') {
      const { type, version, eventId } = state.divergence;
      throw new LifecycleError(
        DIVERGED,
        `${stream} holds ${type} (version ${version}, event ${eventId}), which its machine refuses in ${state.divergence.state}. Only pause, abort and rollback are accepted.`,
      );
    }
    // The divergence is past: a stop is decided from the last good state, and expects the stream's true version.
    folded.set(stream, { ...state, divergence: undefined });
    versions.set(stream, state.version);
  }

  async function one<K extends StreamKind>(stream: StreamName<K>): Promise<StateByKind[K]> {
    await preload([stream]);
    return stateOf(stream, folded.get(stream)!);
  }

  return {
    versions,
    preload,
    model: (modelId) => one(modelStream(modelId)),
    version: (modelId, version) => one(versionStream(modelId, version)),
    training: (runId) => one(trainingStream(runId)),
    rollout: (rolloutId) => one(rolloutStream(rolloutId)),
    now: () => {
      if (now === undefined) throw new Error('now() before the first stream was read');
      return now;
    },
  };
}

/** One attempt's end: an outcome, or the conflict that calls for another. */
type Attempt = Outcome | Extract<AppendResult, { outcome: 'conflict' }>;

async function attempt(
  deps: CommandDeps,
  caller: Caller,
  upkeep: (() => void)[],
  decide: (streams: Streams) => Promise<Conclusion>,
  append: (request: AppendRequest, also: ((tx: Queryable) => Promise<void>) | undefined) => Promise<AppendResult>,
): Promise<Attempt> {
  const streams = createStreams(deps, caller, upkeep);
  const conclusion = await decide(streams);
  const { expect } = caller;
  if (expect) await streams.preload([expect.stream]);
  const seen = expect && streams.versions.get(expect.stream);
  if (expect && seen !== undefined && seen !== expect.version) {
    return { outcome: 'stale', stream: expect.stream, version: seen };
  }
  if (conclusion.kind === 'already') return { outcome: 'already', events: [] };
  if (conclusion.kind === 'refused') return { outcome: 'refused', refusal: conclusion.refusal };
  const grants = await toGrant(deps, streams, conclusion.facts);
  const also = async (tx: Queryable) => {
    await conclusion.also?.(tx);
    for (const { orgId, blobs } of grants) await deps.grants.grant(orgId, blobs, tx);
  };
  return append(
    {
      commandId: caller.commandId,
      commandHash: caller.commandHash,
      actor: caller.actor,
      correlationId: caller.correlationId,
      causationId: caller.causationId,
      expected: streams.versions,
      events: toEvents(conclusion.facts, deps.newId),
    },
    conclusion.also !== undefined || grants.length > 0 ? also : undefined,
  );
}

async function untilDecided(caller: Caller, once: () => Promise<Attempt>): Promise<Outcome> {
  for (let n = 1; ; n += 1) {
    let result: Attempt;
    try {
      result = await once();
    } catch (error) {
      if (error instanceof KnownCommand) return { outcome: 'duplicate', ...error.known };
      throw error;
    }
    if (result.outcome !== 'conflict') return result;
    const first = result.conflicts[0]!;
    if (caller.onConflict === 'stale') return { outcome: 'stale', stream: first.stream, version: first.actual };
    if (caller.onConflict === 'redecide' && n >= REDECIDE_LIMIT) {
      throw new LifecycleError('unavailable', `${first.stream} changed ${n} times while we decided. Try again.`, {
        retry_after_s: 1,
      });
    }
  }
}

/** Snapshots are left once the facts are committed, or nothing came of them: a stop waits for none. */
async function withUpkeep<T>(run: (upkeep: (() => void)[]) => Promise<T>): Promise<T> {
  const upkeep: (() => void)[] = [];
  try {
    return await run(upkeep);
  } finally {
    upkeep.forEach((leave) => leave());
  }
}

/**
 * Runs one use case. Expected outcomes are values.
 *
 * @param decide reads streams and concludes; it may run several times, so it has no effects of its own
 * @throws LifecycleError for input that names what does not exist; Fatal where the store cannot tell what happened
 */
export function execute(
  deps: CommandDeps,
  caller: Caller,
  decide: (streams: Streams) => Promise<Conclusion>,
): Promise<Outcome> {
  const lane = laneOf(caller);
  const append = (request: AppendRequest, also: ((tx: Queryable) => Promise<void>) | undefined) =>
    deps.log.append(request, { lane, ...(also ? { also } : {}) });
  return withUpkeep((upkeep) => untilDecided(caller, () => attempt(deps, caller, upkeep, decide, append)));
}

/**
 * The same under an advisory lock, for what expected versions cannot guard: rows of a round, rollouts of one model. The lock
 * comes before any stream's, everywhere, and is held until the append is committed.
 *
 * @param lock   takes the lock; no transaction id, so no row locks
 * @param decide reads `tx` after the lock was taken, so it sees all that earlier holders did
 */
export function executeUnder(
  deps: CommandDeps,
  caller: Caller,
  lock: (tx: Queryable) => Promise<void>,
  decide: (streams: Streams, tx: Queryable) => Promise<Conclusion | RowsAlone>,
): Promise<Outcome> {
  const locked = (upkeep: (() => void)[]) =>
    deps.log.transaction(laneOf(caller), async (tx) => {
      await lock(tx);
      let rows: RowsAlone | undefined;
      const reads = async (streams: Streams): Promise<Conclusion> => {
        const conclusion = await decide(streams, tx);
        if (conclusion.kind !== 'rows') return conclusion;
        rows = conclusion;
        return { kind: 'already' };
      };
      const result = await attempt(deps, caller, upkeep, reads, async (request, also) => {
        const appended = await tx.append(request);
        if (appended.outcome === 'appended') await also?.(tx);
        return appended;
      });
      if (result.outcome === 'already') await rows?.write(tx);
      return result;
    });
  return withUpkeep((upkeep) => untilDecided(caller, () => locked(upkeep)));
}

/** Facts with ids, machine and schema version, in order. @throws Error for a fact in a stream of another kind (a bug) */
function toEvents(facts: readonly NewFact[], newId: () => string) {
  return facts.map(({ stream, fact }) => {
    if (!parseStream(stream)) throw new Error(`${fact.type} cannot go to ${stream}`);
    return {
      id: newId(),
      stream,
      fact,
      machine: machineFor(stream).name,
      schemaVersion: currentSchemaVersion(stream, fact.type),
    };
  });
}

export interface DecidedPart {
  readonly stream: string;
  readonly decision: Decision<AnyFact>;
}

/**
 * Joins the decisions of several machines into one append. The first refusal wins; `already` adds nothing.
 *
 * @returns `already` only if every decision is
 */
export function joinDecisions(parts: readonly DecidedPart[], also?: (tx: Queryable) => Promise<void>): Conclusion {
  const facts: NewFact[] = [];
  for (const { stream, decision } of parts) {
    if (decision.kind === 'refused') return { kind: 'refused', refusal: decision.refusal };
    if (decision.kind === 'facts') for (const fact of decision.facts) facts.push({ stream, fact });
  }
  if (facts.length === 0) return { kind: 'already' };
  return also ? { kind: 'append', facts, also } : { kind: 'append', facts };
}
