/**
 * Pure. How facts move the pointer document. The facts of one append arrive one after another and a reader may look in between,
 * so each step by itself leaves a version in force: completing makes the version stable at once, a rollback brings the target.
 */
import type { ModelId, Semver } from '../brands.ts';
import { tagged } from '../events/codec.ts';
import type { SequencedEvent } from '../events/envelope.ts';
import type { ModelFact } from '../events/model.ts';
import type { RolloutFact, RolloutSpec } from '../events/rollout.ts';
import { modelStream, parseStream } from '../events/streams.ts';
import type { VersionFact } from '../events/version.ts';
import { byPrecedenceDesc, isHigher, isPrerelease } from '../semver.ts';
import type { PendingRollout, Pointer, PointerEvidence, PointerRollout, StartedRollout, Threshold } from './pointer.ts';
import { nextHold, setsAside } from './holding.ts';
import { evidencePolicy, silenceAfterMs } from './policies.ts';
import { readClock, resumeClock, startClock, stopClock, writeClock } from './stageClock.ts';
import { remembered, type PointerMemory, type Remembered, type RolloutOf } from './pointerMemory.ts';

/** The members a fact changes; undefined where it is none of the pointer's business. */
type Changed = Partial<Omit<Pointer, 'org_id' | 'model_id' | 'epoch' | 'rolled_back'>> | undefined;

export interface Applied {
  /** The same object where the fact changes nothing of it; undefined only while the model is not registered. */
  readonly pointer: Pointer | undefined;
  /** For the owner of the memory to keep. */
  readonly news: Remembered;
}

/**
 * One more fact of the pointer's own model (`pointerModel`), in log order; `epoch` skips repeats.
 *
 * @param pointer undefined before ModelRegistered
 * @param memory  asked for the rollout of the fact and for the versions that `versionsNamed` lists
 */
export function applyFact(pointer: Pointer | undefined, event: SequencedEvent, memory: PointerMemory): Applied {
  const of = tagged(event);
  if (!of || of.kind === 'training') return { pointer, news: {} };
  const rollout = of.kind === 'rollout' ? memory.rollout(of.rolloutId) : undefined;
  const news = remembered(event, rollout);
  if (!pointer) {
    if (of.kind !== 'model' || of.fact.type !== 'ModelRegistered') return { pointer, news };
    return { pointer: emptyPointer(of.fact.data.org_id, of.modelId, event.logIndex), news };
  }
  if (event.logIndex <= pointer.epoch) return { pointer, news };
  let changed: Changed;
  if (of.kind === 'model') changed = byModelFact(pointer, of.fact);
  else if (of.kind === 'version') changed = byVersionFact(pointer, of.version, of.fact);
  else changed = byRolloutFact(pointer, of.rolloutId, rollout, of.fact, event.recordedAt);
  if (!changed) return { pointer, news };
  const isMarked = (version: Semver) =>
    version === news.rolledBack?.version || memory.isRolledBack(pointer.model_id, version);
  const bad = [...pointer.rolled_back, ...versionsNamed(event, rollout).filter(isMarked)];
  const next = { ...pointer, ...changed, epoch: event.logIndex };
  return { pointer: { ...next, rolled_back: told(next).filter((v) => bad.includes(v)) }, news };
}

/** The versions of which the document says whether they were rolled back. */
const told = ({ stable, latest, rollouts }: Pick<Pointer, 'stable' | 'latest' | 'rollouts'>): string[] => [
  ...new Set([stable, latest, ...rollouts.map((r) => r.version)].filter((v) => v !== null)),
];

/** The model whose pointer a fact may move. @param memory knows the rollout, whose facts do not name it after RolloutCreated */
export function pointerModel({ stream, fact }: SequencedEvent, memory: Pick<PointerMemory, 'rollout'>) {
  const of = parseStream(stream);
  if (of?.kind === 'model' || of?.kind === 'version') return of.modelId;
  if (of?.kind !== 'rollout') return undefined;
  return fact.type === 'RolloutCreated' ? fact.data.model_id : memory.rollout(of.rolloutId)?.model_id;
}

/** Versions that a fact may bring into the document, or marks. @param rollout of the memory, for a fact of a rollout */
export function versionsNamed({ stream, fact }: SequencedEvent, rollout: RolloutOf | undefined): string[] {
  const of = parseStream(stream);
  switch (fact.type) {
    case 'VersionListed':
    case 'RolloutCreated':
      return [fact.data.version];
    case 'StableVersionChanged':
    case 'StableVersionRestored':
      return fact.data.version === null ? [] : [fact.data.version];
    case 'VersionSuperseded':
      return fact.data.by === null ? [] : [fact.data.by];
    case 'VersionRolledBack':
      return of?.kind === 'version' ? [of.version] : [];
    case 'RolloutRolledBack':
      return [rollout?.version, fact.data.target].filter((v) => v !== null && v !== undefined);
    default:
      return [];
  }
}

/** Facts that move no pointer, whatever they hold. */
const NO_MOVE: ReadonlySet<string> = new Set([
  'ModelContractDeclared',
  'VersionDrafted',
  'TrainingStarted',
  'TrainingCompleted',
  'TrainingFailed',
  'ArtifactUploaded',
  'PublishRequested',
  'PublishRefused',
  'VersionPublished',
  'DeploymentStarted',
  'DeploymentCompleted',
  'VersionRestored',
  'RootCauseRecorded',
] satisfies (ModelFact | VersionFact | RolloutFact)['type'][]);

/**
 * Whose pointer is no longer to be told once a fact cannot be applied to it, also one that cannot be read: the stream of its
 * model; the rollout's own where nothing says which model that is; undefined for a fact that moves no pointer.
 *
 * @param modelOf the model of a rollout whose RolloutCreated was applied
 */
export function pointerSubject(
  { stream, type, data }: { readonly stream: string; readonly type: string; readonly data: unknown },
  modelOf: (rolloutId: number) => string | undefined,
): string | undefined {
  const parsed = parseStream(stream);
  if (!parsed || parsed.kind === 'training' || NO_MOVE.has(type)) return undefined;
  if (parsed.kind !== 'rollout') return modelStream(parsed.modelId);
  const named = typeof data === 'object' && data !== null && 'model_id' in data ? data.model_id : undefined;
  const modelId = modelOf(parsed.rolloutId) ?? (typeof named === 'string' ? named : undefined);
  return modelId === undefined ? stream : modelStream(modelId);
}

const emptyPointer = (orgId: string, modelId: ModelId, epoch: number): Pointer => ({
  org_id: orgId,
  model_id: modelId,
  epoch,
  stable: null,
  latest: null,
  ever_rolled_out: false,
  previews: [],
  rolled_back: [],
  rollouts: [],
});

/** `why` names three of them, and says that there are more. */
const PREVIEWS = 4;

/** Once a rollout has begun, devices are told the stable version or nothing. Before that, none can have been rolled back. */
function byListing({ ever_rolled_out, latest, previews }: Pointer, version: Semver): Changed {
  if (ever_rolled_out) return undefined;
  if (!isPrerelease(version))
    return latest === null || isHigher(version, latest) ? { latest: version, previews: [] } : undefined;
  if (latest !== null || previews.includes(version)) return undefined;
  const highest = [...previews, version].sort(byPrecedenceDesc).slice(0, PREVIEWS);
  return highest.includes(version) ? { previews: highest } : undefined;
}

function byModelFact(pointer: Pointer, fact: ModelFact): Changed {
  switch (fact.type) {
    case 'ModelRegistered':
    case 'ModelContractDeclared':
      return undefined;
    case 'VersionListed':
      return byListing(pointer, fact.data.version);
    case 'StableVersionChanged':
    case 'StableVersionRestored':
      return { stable: fact.data.version };
    default:
      return fact satisfies never;
  }
}

function byVersionFact(pointer: Pointer, version: Semver, fact: VersionFact): Changed {
  switch (fact.type) {
    case 'VersionRolledBack':
      return told(pointer).includes(version) && !pointer.rolled_back.includes(version) ? {} : undefined;
    // An aborted rollout after its completion: what takes its place is in force. That nothing is, only the model says.
    case 'VersionSuperseded':
      return pointer.stable === version && fact.data.by !== null ? { stable: fact.data.by } : undefined;
    default:
      return undefined;
  }
}

function byRolloutFact(
  pointer: Pointer,
  id: number,
  of: RolloutOf | undefined,
  fact: RolloutFact,
  at: string,
): Changed {
  if (fact.type === 'RolloutCreated') return { rollouts: [...pointer.rollouts, pending(id, fact.data)] };
  const rollout = pointer.rollouts.find((r) => r.id === id);
  // One that has completed: a rollback still takes its version from devices.
  if (!rollout)
    return of && fact.type === 'RolloutRolledBack' ? withdrawn(pointer, of.version, fact.data.target) : undefined;
  const become = (next: PointerRollout | undefined): Changed =>
    next && { rollouts: pointer.rollouts.map((r) => (r.id === id ? next : r)) };
  const others = pointer.rollouts.filter((r) => r.id !== id);
  switch (fact.type) {
    case 'RolloutStarted': {
      const { seed, lo, evidence: frozen } = fact.data;
      const evidence = rollout.evidence && { ...rollout.evidence, ...frozen };
      const active = { ...rollout, seed, lo, evidence, status: 'active', pause_cause: null, hold: null } as const;
      return { ...become(active), ever_rolled_out: true, latest: null, previews: [] };
    }
    case 'StageEntered':
    case 'HealthJudged':
    case 'RolloutPaused':
    case 'RolloutResumed':
      // The chart refuses these of a rollout that has not started.
      return rollout.status === 'pending' ? undefined : become(moved(rollout, fact, at));
    case 'RolloutCompleted':
      return { rollouts: others, stable: rollout.version };
    case 'RolloutAborted':
      return { rollouts: others };
    case 'RolloutRolledBack':
      return { rollouts: others, ...withdrawn(pointer, rollout.version, fact.data.target) };
    case 'RootCauseRecorded':
      return undefined;
    default:
      return fact satisfies never;
  }
}

type Move = Extract<RolloutFact, { type: 'StageEntered' | 'HealthJudged' | 'RolloutPaused' | 'RolloutResumed' }>;

/** The rollout after a fact that does not end it; undefined where it stays as it is. */
function moved(rollout: StartedRollout, fact: Move, at: string): StartedRollout | undefined {
  switch (fact.type) {
    case 'StageEntered': {
      const { stage, from, to, ramp_ms, min_bake_ms } = fact.data;
      const threshold = { from, to, ramp_ms, ...writeClock(startClock(Date.parse(at))) };
      const evidence = rollout.evidence && { ...rollout.evidence, min_bake_ms };
      return { ...rollout, stage, threshold, evidence, status: 'active', pause_cause: null, hold: null };
    }
    case 'HealthJudged': {
      const hold = nextHold(rollout, fact.data);
      if (rollout.status === 'paused') return hold === rollout.hold ? undefined : { ...rollout, hold };
      if (hold !== null)
        return hold === rollout.hold
          ? undefined
          : { ...rollout, status: 'held', hold, threshold: stopped(rollout.threshold, at) };
      return rollout.status === 'held'
        ? { ...rollout, status: 'active', hold, threshold: running(rollout, at, false) }
        : undefined;
    }
    case 'RolloutPaused':
      return {
        ...rollout,
        status: 'paused',
        pause_cause: fact.data.cause,
        threshold: stopped(rollout.threshold, at),
      };
    case 'RolloutResumed':
      return {
        ...rollout,
        status: 'active',
        pause_cause: null,
        hold: null,
        threshold: running(rollout, at, setsAside(rollout.hold)),
      };
    default:
      return fact satisfies never;
  }
}

/** The version is never told again; devices go to the target, which is the stable version already while a rollout runs. */
const withdrawn = (pointer: Pointer, version: Semver, target: Semver | null) => ({
  stable: target ?? (pointer.stable === version ? null : pointer.stable),
});

type Created = Extract<RolloutFact, { type: 'RolloutCreated' }>['data'];

const pending = (id: number, { version, spec }: Created): PendingRollout => ({
  id,
  version,
  seed: null,
  lo: 0,
  threshold: null,
  cohort: spec.cohort ?? null,
  exclude: spec.exclude ?? null,
  evidence: evidenceOf(spec),
  on_regressed: spec.on_regressed,
  stage: -1,
  status: 'pending',
  pause_cause: null,
  hold: null,
});

/** As it stands before the start freezes what control sends. */
function evidenceOf(spec: RolloutSpec): PointerEvidence | null {
  const policy = evidencePolicy(spec);
  if (!policy) return null;
  return {
    measured: [],
    frozen_q: {},
    accuracy: null,
    silence_after_ms: silenceAfterMs(spec) ?? 0,
    slower: policy.metrics['latency_p95']?.slower ?? 1,
    min_bake_ms: 0,
  };
}

function stopped(threshold: Threshold | null, at: string): Threshold | null {
  return threshold && { ...threshold, ...writeClock(stopClock(readClock(threshold), Date.parse(at))) };
}

function running(rollout: StartedRollout, at: string, isSetAside: boolean): Threshold | null {
  const { threshold, pause_cause: cause, evidence } = rollout;
  if (!threshold) return null;
  const clock = resumeClock(readClock(threshold), Date.parse(at), {
    cause,
    rampMs: threshold.ramp_ms,
    silenceAfterMs: evidence?.silence_after_ms ?? null,
    setsAside: isSetAside,
  });
  return { ...threshold, ...writeClock(clock) };
}
