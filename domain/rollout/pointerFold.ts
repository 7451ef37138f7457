/**
 * Pure. How facts move the pointer document. The facts of one append arrive one after another and a reader may look in between,
 * so each step by itself leaves a version in force: completing makes the version stable at once, a rollback brings the target.
 */
import type { SequencedEvent } from '../events/envelope.ts';
import type { ModelFact } from '../events/model.ts';
import type { RolloutFact } from '../events/rollout.ts';
import { modelStream, parseStream } from '../events/streams.ts';
import type { VersionFact } from '../events/version.ts';
import { latestOf } from '../semver.ts';
import type { Pointer, PointerRollout, Threshold } from './pointer.ts';

/** The members a fact changes; undefined where it is none of the pointer's business. */
type Changed = Partial<Omit<Pointer, 'org_id' | 'model_id' | 'epoch' | 'latest'>> | undefined;

/**
 * The document after one more fact. Facts about other models must be kept away by the caller (a rollout's facts name no model
 * after RolloutCreated); facts that do not matter give the same object back. Applied in log order; `epoch` skips repeats.
 *
 * @param pointer undefined before ModelRegistered
 * @returns undefined only while the model is not registered
 */
export function applyFact(pointer: Pointer | undefined, event: SequencedEvent): Pointer | undefined {
  const stream = parseStream(event.stream);
  if (!stream || stream.kind === 'training') return pointer;
  if (!pointer) {
    if (stream.kind !== 'model' || event.fact.type !== 'ModelRegistered') return undefined;
    return emptyPointer(event.fact.data.org_id, stream.modelId, event.logIndex);
  }
  if (event.logIndex <= pointer.epoch) return pointer;
  let changed: Changed;
  // Safe: the codec admits to a stream only facts of its kind.
  if (stream.kind === 'model') changed = byModelFact(pointer, event.fact as ModelFact);
  else if (stream.kind === 'version') changed = byVersionFact(pointer, stream.version, event.fact as VersionFact);
  else changed = byRolloutFact(pointer, stream.rolloutId, event.fact as RolloutFact, event.recordedAt);
  if (!changed) return pointer;
  const next = { ...pointer, ...changed, epoch: event.logIndex };
  return { ...next, latest: latestOf(next.listed.filter((v) => !next.rolled_back.includes(v))) ?? null };
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

const emptyPointer = (orgId: string, modelId: string, epoch: number): Pointer => ({
  org_id: orgId,
  model_id: modelId,
  epoch,
  stable: null,
  latest: null,
  ever_rolled_out: false,
  listed: [],
  rolled_back: [],
  rollouts: [],
  completed: [],
});

function byModelFact(pointer: Pointer, fact: ModelFact): Changed {
  switch (fact.type) {
    case 'ModelRegistered':
    case 'ModelContractDeclared':
      return undefined;
    case 'VersionListed':
      return { listed: [...pointer.listed, fact.data.version] };
    case 'StableVersionChanged':
    case 'StableVersionRestored':
      return { stable: fact.data.version };
    default:
      return fact satisfies never;
  }
}

function byVersionFact(pointer: Pointer, version: string, fact: VersionFact): Changed {
  switch (fact.type) {
    case 'VersionRolledBack':
      return pointer.rolled_back.includes(version) ? undefined : { rolled_back: [...pointer.rolled_back, version] };
    // An aborted rollout after its completion: what takes its place is in force. That nothing is, only the model says.
    case 'VersionSuperseded':
      return pointer.stable === version && fact.data.by !== null ? { stable: fact.data.by } : undefined;
    default:
      return undefined;
  }
}

function byRolloutFact(pointer: Pointer, id: number, fact: RolloutFact, at: string): Changed {
  if (fact.type === 'RolloutCreated') return { rollouts: [...pointer.rollouts, pending(id, fact.data)] };
  const ended = pointer.completed.find((r) => r.id === id);
  if (ended) return afterCompletion(pointer, ended, fact);
  const rollout = pointer.rollouts.find((r) => r.id === id);
  if (!rollout) return undefined;
  const become = (members: Partial<PointerRollout>): Changed => ({
    rollouts: pointer.rollouts.map((r) => (r.id === id ? { ...r, ...members } : r)),
  });
  const others = pointer.rollouts.filter((r) => r.id !== id);
  switch (fact.type) {
    case 'RolloutStarted':
      return { ...become({ seed: fact.data.seed, lo: fact.data.lo, status: 'active' }), ever_rolled_out: true };
    case 'StageEntered': {
      const { stage, from, to, ramp_ms } = fact.data;
      return become({ stage, threshold: { from, to, ramp_ms, clock_ms: 0, clock_since: at } });
    }
    case 'HealthJudged': {
      const holds = fact.data.verdict === 'REGRESSED' && rollout.on_regressed === 'hold' && rollout.status === 'active';
      return holds ? become({ status: 'held', threshold: stopped(rollout.threshold, at) }) : undefined;
    }
    case 'RolloutPaused':
      return become({
        status: 'paused',
        pause_cause: fact.data.cause,
        threshold: stopped(rollout.threshold, at),
      });
    case 'RolloutResumed':
      return become({ status: 'active', pause_cause: null, threshold: running(rollout, at) });
    case 'RolloutCompleted':
      return {
        rollouts: others,
        stable: rollout.version,
        completed: [...pointer.completed, { id, version: rollout.version }],
      };
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

function afterCompletion(pointer: Pointer, ended: Pointer['completed'][number], fact: RolloutFact): Changed {
  const completed = pointer.completed.filter((r) => r.id !== ended.id);
  if (fact.type === 'RolloutAborted') return { completed };
  if (fact.type !== 'RolloutRolledBack') return undefined;
  return { completed, ...withdrawn(pointer, ended.version, fact.data.target) };
}

/** The version is never told again; devices go to the target, which is the stable version already while a rollout runs. */
function withdrawn(pointer: Pointer, version: string, target: string | null) {
  const isMarked = pointer.rolled_back.includes(version);
  return {
    rolled_back: isMarked ? pointer.rolled_back : [...pointer.rolled_back, version],
    stable: target ?? (pointer.stable === version ? null : pointer.stable),
  };
}

type Created = Extract<RolloutFact, { type: 'RolloutCreated' }>['data'];

const pending = (id: number, { version, spec }: Created): PointerRollout => ({
  id,
  version,
  seed: null,
  lo: 0,
  threshold: null,
  cohort: spec.cohort ?? null,
  on_regressed: spec.on_regressed,
  stage: -1,
  status: 'pending',
  pause_cause: null,
});

function stopped(threshold: Threshold | null, at: string): Threshold | null {
  if (!threshold || threshold.clock_since === null) return threshold;
  const ran = Math.max(0, Date.parse(at) - Date.parse(threshold.clock_since));
  return { ...threshold, clock_ms: threshold.clock_ms + ran, clock_since: null };
}

/** After an inconclusive stage the bake begins again, and the ramp goes on where it stood: nobody changes sides. */
function running({ threshold, pause_cause }: PointerRollout, at: string): Threshold | null {
  if (!threshold) return null;
  const { ramp_ms, clock_ms: ran } = threshold;
  const clock_ms = pause_cause === 'inconclusive' ? Math.min(ran, ramp_ms) : ran;
  return { ...threshold, clock_ms, clock_since: at };
}
