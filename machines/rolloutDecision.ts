/**
 * Pure. What a rollout answers to a command (docs/design/rollout.md "States and commands"): the named guards of its table, read
 * as one.
 */
import { durationMs } from '../domain/duration.ts';
import type { Judgement, RolloutFact, RolloutSpec, SetAside } from '../domain/events/rollout.ts';
import type { None, VersionStateName } from '../domain/states.ts';
import { isPrerelease } from '../domain/semver.ts';
import { completesByItself } from '../domain/rollout/plan.ts';
import { clockMs } from '../domain/rollout/stageClock.ts';
import { already, decideFacts, guard, type Decision } from './decision.ts';
import { howToPublish, isUsable } from './modelVersion.ts';
import { rolloutMachine, type RolloutContext, type RolloutState } from './rollout.ts';

type DataOf<T extends RolloutFact['type']> = Extract<RolloutFact, { type: T }>['data'];

/** Facts about other streams that a guard needs, loaded by the use case and kept out of replay. */
export type RolloutCommand =
  | { type: 'create'; data: DataOf<'RolloutCreated'>; versionState: VersionStateName | None }
  | { type: 'start'; rolloutId: number; versionState: VersionStateName | None; otherLive: number | null }
  | { type: 'pause'; cause: DataOf<'RolloutPaused'>['cause']; reason: string; missing?: readonly string[] }
  /** `setAside`: the stage's downloads so far, where a rule on downloads paused it. */
  | { type: 'resume'; reason?: string; setAside?: SetAside }
  | { type: 'enterStage'; stage: number }
  /** A person's step. `override` skips the bake, with a reason that is recorded. */
  | { type: 'advance'; reason?: string; override: boolean }
  | { type: 'judge'; judgement: Judgement }
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
      trigger: 'verdict' | 'manual';
      reason: string;
      evidence: Judgement | null;
      isStable: boolean;
    }
  | { type: 'recordRootCause'; text: string };

/** The fact that opens stage `index`: percent and ramp of the spec in buckets and milliseconds. */
export function stageFact(
  context: Pick<RolloutContext, 'spec' | 'entered'>,
  index: number,
  basis: 'auto' | 'manual',
  reason?: string,
): Extract<RolloutFact, { type: 'StageEntered' }> {
  const stage = context.spec!.stages[index]!;
  return {
    type: 'StageEntered',
    data: {
      stage: index,
      from: context.entered?.to ?? 0,
      to: Math.round(stage.percent * 100),
      ramp_ms: durationMs(stage.ramp),
      min_bake_ms: durationMs(stage.min_bake),
      max_bake_ms: durationMs(stage.max_bake),
      basis,
      ...(reason === undefined ? {} : { reason }),
    },
  };
}

/**
 * What may follow in the rollout's own stream. Never throws.
 *
 * An override skips the bake only: passing a regressed verdict needs a second person's approval, which this release does not
 * have, so it is refused.
 */
export function decideRollout(state: RolloutState, command: RolloutCommand, now: number): Decision<RolloutFact> {
  const { context } = state;
  const spec = context.spec;
  const decide = (facts: RolloutFact[], guards: ReturnType<typeof guard>[] = []) =>
    decideFacts(rolloutMachine, state, command.type, facts, guards, now);

  switch (command.type) {
    case 'create':
      return decide(
        [{ type: 'RolloutCreated', data: command.data }],
        [published(command.versionState, command.data.version), reachesItsCohort(command.data.spec)],
      );
    case 'start': {
      if (state.state === 'Active' || state.state === 'Held') return already;
      const facts: RolloutFact[] = spec
        ? [{ type: 'RolloutStarted', data: { seed: String(command.rolloutId), lo: 0 } }, stageFact(context, 0, 'auto')]
        : [{ type: 'RolloutStarted', data: { seed: String(command.rolloutId), lo: 0 } }];
      const guards = [published(command.versionState, context.version), ...(spec ? [reachesItsCohort(spec)] : [])];
      return besideAnother(decide(facts, [...guards, alone(command.otherLive)]), command.otherLive);
    }
    case 'pause':
      if (state.state === 'Paused') return already;
      return decide([
        {
          type: 'RolloutPaused',
          data: {
            cause: command.cause,
            reason: command.reason,
            ...(command.missing === undefined ? {} : { missing: [...command.missing] }),
          },
        },
      ]);
    case 'resume':
      if (state.state === 'Active') return already;
      // Its ramp would go on: a step up like any other.
      return decide(
        [
          {
            type: 'RolloutResumed',
            data: {
              ...(command.reason === undefined ? {} : { reason: command.reason }),
              ...(command.setAside === undefined ? {} : { set_aside: command.setAside }),
            },
          },
        ],
        [notRegressed(context)],
      );
    case 'enterStage': {
      const exists = !!spec && command.stage < spec.stages.length && command.stage === context.stage + 1;
      return decide(
        [exists ? stageFact(context, command.stage, 'auto') : noStage(context)],
        [
          guard(
            'nextStage',
            exists,
            `stage ${context.stage} of ${spec?.stages.length ?? 0} is running`,
            'reload the rollout',
          ),
          baked(context, now, false),
          healthy(context),
          notRegressed(context),
        ],
      );
    }
    case 'advance': {
      const next = context.stage + 1;
      const exists = !!spec && next < spec.stages.length;
      return decide(
        [exists ? stageFact(context, next, 'manual', command.reason) : noStage(context)],
        [
          guard(
            'nextStage',
            exists,
            `stage ${context.stage} is the last of ${spec?.stages.length ?? 0}`,
            'nothing is above it: wait, or complete the rollout',
          ),
          baked(context, now, command.override),
          overrideReason(command.override, command.reason),
          notRegressed(context),
        ],
      );
    }
    case 'judge':
      if ((context.judged?.verdict ?? 'PENDING') === command.judgement.verdict || context.regressed) return already;
      return decide(
        [{ type: 'HealthJudged', data: command.judgement }],
        [
          guard(
            'sameStage',
            convictsLeftStage(context, command.judgement) ||
              (command.judgement.stage === context.stage && command.judgement.look === context.looks + 1),
            `look ${context.looks + 1} of stage ${context.stage} is next`,
            'judge the stage that runs',
          ),
        ],
      );
    case 'complete': {
      if (state.state === 'Completed') return already;
      const last = !!spec && context.stage === spec.stages.length - 1;
      const auto = command.basis === 'auto';
      return decide(
        [
          {
            type: 'RolloutCompleted',
            data: { basis: command.basis, ...(command.reason === undefined ? {} : { reason: command.reason }) },
          },
        ],
        [
          guard('lastStage', last, `stage ${context.stage} of ${spec?.stages.length ?? 0}`, 'finish the stages'),
          guard(
            'everyone',
            !!spec && completesByItself(spec),
            'the last stage is 100 % of everyone',
            'abort it, and begin another one of a release, to 100 % of everyone',
          ),
          baked(context, now, !auto && command.override),
          ...(auto ? [healthy(context)] : [overrideReason(command.override, command.reason)]),
          notRegressed(context),
        ],
      );
    }
    case 'abort':
      if (state.state === 'Aborted' || state.state === 'RolledBack') return already;
      return decide(
        [{ type: 'RolloutAborted', data: { reason: command.reason } }],
        state.state === 'Completed' ? [stillStable(command.isStable, context.version)] : [],
      );
    case 'rollback': {
      if (state.state === 'RolledBack') return already;
      const guards = [
        guard(
          'target',
          command.noTarget === undefined,
          command.noTarget ??
            (command.target ? `devices go to ${command.target}` : 'no version is in force besides it'),
          'leave target_version out, or name a version that was stable and was not rolled back',
        ),
      ];
      if (state.state === 'Completed') guards.push(stillStable(command.isStable, context.version));
      return decide(
        [
          {
            type: 'RolloutRolledBack',
            data: {
              target: command.target,
              ...(command.named ? { named: true as const } : {}),
              trigger: command.trigger,
              reason: command.reason,
              evidence: command.evidence,
            },
          },
        ],
        guards,
      );
    }
    case 'recordRootCause':
      return decide([{ type: 'RootCauseRecorded', data: { text: command.text } }]);
  }
}

/** The look was taken before a person advanced: what it saw convicts the version all the same. */
const convictsLeftStage = (context: RolloutContext, { stage, verdict }: Judgement) =>
  verdict === 'REGRESSED' && stage < context.stage;

/** Asks the chart whether the state lets a stage be entered, where the spec has none: the guard `nextStage` refuses it. */
const noStage = (context: RolloutContext): Extract<RolloutFact, { type: 'StageEntered' }> => ({
  type: 'StageEntered',
  data: { stage: context.stage + 1, from: 0, to: 0, ramp_ms: 0, min_bake_ms: 0, max_bake_ms: 0, basis: 'auto' },
});

const alone = (otherLive: number | null) =>
  guard(
    'alone',
    otherLive === null,
    otherLive === null ? 'no other rollout of the model is live' : `rollout ${otherLive} is live`,
    `abort or roll back rollout ${otherLive ?? ''} first, or wait for its end`,
  );

/** Where nothing but another live rollout stands in the way, that is a conflict with it, and it is named. */
function besideAnother(decision: Decision<RolloutFact>, otherLive: number | null): Decision<RolloutFact> {
  if (decision.kind !== 'refused' || otherLive === null) return decision;
  const { refusal } = decision;
  if (refusal.guards.some((g) => !g.met && g.name !== 'alone')) return decision;
  return { kind: 'refused', refusal: { ...refusal, code: 'conflict', more: { rollout_id: otherLive } } };
}

/** A pre-release is never stable: it goes to a cohort, and a rollout to a cohort does not complete. */
function reachesItsCohort({ version, cohort }: RolloutSpec) {
  const met = !isPrerelease(version) || cohort !== undefined;
  return guard(
    'cohort',
    met,
    !isPrerelease(version)
      ? `${version} is a release`
      : `${version} is a pre-release, ${met ? 'for a cohort' : 'and the rollout is for everyone'}`,
    `name a cohort, such as {"platform": ["android"]}; for everyone publish a version without a pre-release label`,
  );
}

const published = (versionState: VersionStateName | None, version: string) =>
  isUsable(versionState)
    ? guard('published', true, `${version} is ${versionState}`, '')
    : guard('published', false, `${version} is ${versionState}`, howToPublish(versionState));

const stillStable = (isStable: boolean, version: string) =>
  guard(
    'stillStable',
    isStable,
    `${version} is ${isStable ? '' : 'not '}the stable version`,
    'act on the rollout of the version that is stable',
  );

function baked(context: RolloutContext, now: number, override: boolean) {
  const needed = (context.entered?.ramp_ms ?? 0) + (context.entered?.min_bake_ms ?? 0);
  const clock = clockMs(context.clock, now);
  const met = override || clock >= needed;
  const left = Math.max(0, needed - clock);
  return guard(
    'minBakeElapsed',
    met,
    override ? 'overridden' : `the stage has run ${clock} ms of ${needed} ms`,
    `wait until ${new Date(now + left).toISOString()}, or advance with override and a reason`,
  );
}

const overrideReason = (override: boolean, reason: string | undefined) =>
  guard('reasonGiven', !override || !!reason, reason ? 'a reason is given' : 'no reason is given', 'give a reason');

const healthy = (context: RolloutContext) =>
  guard(
    'healthy',
    context.judged?.verdict === 'HEALTHY',
    `the stage is ${context.judged?.verdict ?? 'not judged'}`,
    'wait for the verdict',
  );

const notRegressed = (context: RolloutContext) =>
  guard(
    'notRegressed',
    context.regressed === null,
    context.regressed ? `judged REGRESSED in stage ${context.regressed.stage}` : 'never judged REGRESSED',
    'roll back or abort; passing a regressed verdict needs a second person, which this release does not have',
  );
