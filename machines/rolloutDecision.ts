/**
 * Pure. What a rollout answers to a command (docs/design/rollout.md "States and commands"): a step a command, which names the
 * facts that would follow and the guards of `rolloutGuards.ts` that must hold.
 */
import { durationMs } from '../domain/duration.ts';
import type { Guard } from '../domain/errors.ts';
import type { HealthJudgement, PauseCause, RollbackTrigger, RolloutFact, SetAside } from '../domain/events/rollout.ts';
import type { FrozenEvidence, StageEvidence } from '../domain/events/verdict.ts';
import { basisOf } from '../domain/rollout/basis.ts';
import { saysMore } from '../domain/rollout/consequence.ts';
import { holdbackOf } from '../domain/rollout/policies.ts';
import { stageBuckets } from '../domain/rollout/verdict/preflight.ts';
import type { None, VersionStateName } from '../domain/states.ts';
import { already, decideFacts, type Decision } from './decision.ts';
import { rolloutMachine, type RolloutContext, type RolloutState } from './rollout.ts';
import {
  alone,
  baked,
  everyone,
  hasNextStage,
  healthy,
  isNextStage,
  lastStage,
  notHeld,
  devicesMayGo,
  notRegressed,
  published,
  reachesItsCohort,
  reasonGiven,
  sameStage,
  stillStable,
} from './rolloutGuards.ts';

type DataOf<T extends RolloutFact['type']> = Extract<RolloutFact, { type: T }>['data'];

/** Facts about other streams that a guard needs, loaded by the use case and kept out of replay. */
export type RolloutCommand =
  | { type: 'create'; data: DataOf<'RolloutCreated'>; versionState: VersionStateName | None }
  | {
      type: 'start';
      rolloutId: number;
      versionState: VersionStateName | None;
      otherLive: number | null;
      /** Under the policy `evidence`: what is fixed at the start, and for the first stage. */
      frozen?: FrozenEvidence;
      evidence?: StageEvidence;
    }
  | { type: 'pause'; cause: PauseCause; reason: string; missing?: readonly string[] }
  /** `setAside`: the stage's downloads so far, where a rule on downloads paused it. */
  | { type: 'resume'; reason?: string; setAside?: SetAside }
  | { type: 'enterStage'; stage: number; evidence?: StageEvidence }
  /** A person's step. `override` skips the bake, with a reason that is recorded. */
  | { type: 'advance'; reason?: string; override: boolean; evidence?: StageEvidence }
  | { type: 'judge'; judgement: HealthJudgement }
  /** `override` (of a person, with a reason) skips the bake. */
  | { type: 'complete'; basis: 'auto' | 'manual'; override: boolean; reason?: string }
  | { type: 'abort'; reason: string; isStable: boolean }
  | {
      type: 'rollback';
      target: string | null;
      /** A person named it. */
      named?: boolean;
      /** Why the version that a person named may not come back; undefined where none was named, or it may. */
      noTarget?: string;
      trigger: RollbackTrigger;
      reason: string;
      evidence: HealthJudgement | null;
      isStable: boolean;
    }
  | { type: 'recordRootCause'; text: string };

/** What a command would add, and what must hold for it besides the state; or it asks for what is so. */
type Step = { readonly facts: readonly RolloutFact[]; readonly guards: readonly Guard[] } | typeof already;

type Of<T extends RolloutCommand['type']> = Extract<RolloutCommand, { type: T }>;

/**
 * What may follow in the rollout's own stream. Never throws.
 *
 * An override skips the bake only: passing a regressed verdict needs a second person's approval, which this release does not
 * have, so it is refused.
 */
export function decideRollout(state: RolloutState, command: RolloutCommand, now: number): Decision<RolloutFact> {
  const step = stepOf(state, command, now);
  if ('kind' in step) return step;
  const decision = decideFacts(rolloutMachine, state, command.type, step.facts, step.guards, now);
  return command.type === 'start' ? besideAnother(decision, command.otherLive) : decision;
}

function stepOf(state: RolloutState, command: RolloutCommand, now: number): Step {
  switch (command.type) {
    case 'create':
      return create(command);
    case 'start':
      return start(state, command);
    case 'pause':
      return pause(state, command);
    case 'resume':
      return resume(state, command);
    case 'enterStage':
      return enterStage(state, command, now);
    case 'advance':
      return advance(state, command, now);
    case 'judge':
      return judge(state, command);
    case 'complete':
      return complete(state, command, now);
    case 'abort':
      return abort(state, command);
    case 'rollback':
      return rollBack(state, command);
    case 'recordRootCause':
      return { facts: [{ type: 'RootCauseRecorded', data: { text: command.text } }], guards: [] };
  }
}

const create = ({ data, versionState }: Of<'create'>): Step => ({
  facts: [{ type: 'RolloutCreated', data }],
  guards: [published(versionState, data.version), reachesItsCohort(data.spec)],
});

function start({ state, context }: RolloutState, command: Of<'start'>): Step {
  if (state === 'Active' || state === 'Held') return already;
  const { rolloutId, versionState, otherLive, frozen } = command;
  const { spec, version } = context;
  const data = { seed: String(rolloutId), lo: 0, ...(frozen === undefined ? {} : { evidence: frozen }) };
  const started = { type: 'RolloutStarted', data } as const;
  const isUsable = published(versionState, version);
  if (!spec) return { facts: [started], guards: [isUsable, alone(otherLive)] };
  return {
    facts: [started, stageFact(context, 0, { basis: 'auto', ...shown(command) })],
    guards: [isUsable, reachesItsCohort(spec), alone(otherLive)],
  };
}

/** Where nothing but another live rollout stands in the way, that is a conflict with it, and it is named. */
function besideAnother(decision: Decision<RolloutFact>, otherLive: number | null): Decision<RolloutFact> {
  if (decision.kind !== 'refused' || otherLive === null) return decision;
  const { refusal } = decision;
  if (refusal.guards.some((g) => !g.met && g.name !== 'alone')) return decision;
  return { kind: 'refused', refusal: { ...refusal, code: 'conflict', more: { rollout_id: otherLive } } };
}

function pause({ state }: RolloutState, { cause, reason, missing }: Of<'pause'>): Step {
  if (state === 'Paused') return already;
  const data = { cause, reason, ...(missing === undefined ? {} : { missing: [...missing] }) };
  return { facts: [{ type: 'RolloutPaused', data }], guards: [] };
}

function resume({ state, context }: RolloutState, { reason, setAside }: Of<'resume'>): Step {
  if (state === 'Active') return already;
  const data = { ...because(reason), ...(setAside === undefined ? {} : { set_aside: setAside }) };
  // Its ramp would go on: a step up like any other.
  return { facts: [{ type: 'RolloutResumed', data }], guards: [notRegressed(context)] };
}

/** The workflow's step up, on health alone. */
function enterStage({ context }: RolloutState, command: Of<'enterStage'>, now: number): Step {
  const { stage } = command;
  const next = isNextStage(context, stage);
  const how = { basis: basisOf(context.judged) ?? ('auto' as const), ...shown(command) };
  return {
    facts: [next.met ? stageFact(context, stage, how) : noStage(context)],
    guards: [next, baked(context, now, false), healthy(context), notRegressed(context)],
  };
}

function advance({ context }: RolloutState, command: Of<'advance'>, now: number): Step {
  const { override, reason } = command;
  const next = hasNextStage(context);
  const how = { basis: 'manual' as const, ...because(reason), ...shown(command) };
  return {
    facts: [next.met ? stageFact(context, context.stage + 1, how) : noStage(context)],
    guards: [
      next,
      ...notHeld(context, override),
      baked(context, now, override),
      reasonGiven(override, reason),
      notRegressed(context),
    ],
  };
}

function judge({ context }: RolloutState, { judgement }: Of<'judge'>): Step {
  if (context.regressed !== null || !saysMore(context.judged, context.proven, judgement)) return already;
  return { facts: [{ type: 'HealthJudged', data: judgement }], guards: [sameStage(context, judgement)] };
}

function complete({ state, context }: RolloutState, { basis, override, reason }: Of<'complete'>, now: number): Step {
  if (state === 'Completed') return already;
  const isAuto = basis === 'auto';
  return {
    facts: [
      {
        type: 'RolloutCompleted',
        data: { basis: isAuto ? (basisOf(context.judged) ?? basis) : basis, ...because(reason) },
      },
    ],
    guards: [
      lastStage(context),
      everyone(context),
      baked(context, now, !isAuto && override),
      isAuto ? healthy(context) : reasonGiven(override, reason),
      notRegressed(context),
    ],
  };
}

function abort(rollout: RolloutState, { reason, isStable }: Of<'abort'>): Step {
  if (rollout.state === 'Aborted' || rollout.state === 'RolledBack') return already;
  return { facts: [{ type: 'RolloutAborted', data: { reason } }], guards: stillInForce(rollout, isStable) };
}

function rollBack(rollout: RolloutState, command: Of<'rollback'>): Step {
  if (rollout.state === 'RolledBack') return already;
  const { target, trigger, reason, evidence } = command;
  const named = command.named ? { named: true as const } : {};
  return {
    facts: [{ type: 'RolloutRolledBack', data: { target, ...named, trigger, reason, evidence } }],
    guards: [devicesMayGo(target, command.noTarget), ...stillInForce(rollout, command.isStable)],
  };
}

/** A completed rollout is undone only while its version is the stable one. */
const stillInForce = ({ state, context }: RolloutState, isStable: boolean): readonly Guard[] =>
  state === 'Completed' ? [stillStable(isStable, context.version)] : [];

const because = (reason: string | undefined) => (reason === undefined ? {} : { reason });

type StageEntered = Extract<RolloutFact, { type: 'StageEntered' }>;

/** The fact that opens a stage of the spec: its percent and ramp in buckets and milliseconds. */
function stageFact(
  { spec, entered }: RolloutContext,
  index: number,
  how: Pick<StageEntered['data'], 'basis' | 'reason' | 'evidence'>,
): StageEntered {
  const stage = spec!.stages[index]!;
  return {
    type: 'StageEntered',
    data: {
      stage: index,
      from: entered?.to ?? 0,
      to: stageBuckets(stage.percent, holdbackOf(spec!)),
      ramp_ms: durationMs(stage.ramp),
      min_bake_ms: durationMs(stage.min_bake),
      max_bake_ms: durationMs(stage.max_bake),
      ...how,
    },
  };
}

const shown = ({ evidence }: { readonly evidence?: StageEvidence }) => (evidence === undefined ? {} : { evidence });

/** Asks the chart whether the state lets a stage be entered, where the spec has none: the guard `nextStage` refuses it. */
const noStage = (context: RolloutContext): StageEntered => ({
  type: 'StageEntered',
  data: { stage: context.stage + 1, from: 0, to: 0, ramp_ms: 0, min_bake_ms: 0, max_bake_ms: 0, basis: 'auto' },
});
