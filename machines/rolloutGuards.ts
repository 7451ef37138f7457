/** Pure. The named guards of a rollout's commands (docs/design/rollout.md "States and commands"): each says why, and how to meet it. */
import type { Guard } from '../domain/errors.ts';
import type { HealthJudgement, RolloutSpec } from '../domain/events/rollout.ts';
import { consequence } from '../domain/rollout/consequence.ts';
import { completesByItself } from '../domain/rollout/plan.ts';
import { clockMs } from '../domain/rollout/stageClock.ts';
import { isPrerelease } from '../domain/semver.ts';
import type { None, VersionStateName } from '../domain/states.ts';
import { guard } from './decision.ts';
import { howToPublish, isUsable } from './modelVersion.ts';
import type { RolloutContext } from './rollout.ts';

export const published = (versionState: VersionStateName | None, version: string): Guard =>
  isUsable(versionState)
    ? guard('published', true, `${version} is ${versionState}`, '')
    : guard('published', false, `${version} is ${versionState}`, howToPublish(versionState));

/** A pre-release is never stable: it goes to a cohort, and a rollout to a cohort does not complete. */
export function reachesItsCohort({ version, cohort }: RolloutSpec): Guard {
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

/** At most one rollout of a model is live. */
export const alone = (otherLive: number | null): Guard =>
  guard(
    'alone',
    otherLive === null,
    otherLive === null ? 'no other rollout of the model is live' : `rollout ${otherLive} is live`,
    `abort or roll back rollout ${otherLive ?? ''} first, or wait for its end`,
  );

/** `stage` is the one after the stage that runs. */
export const isNextStage = ({ stage: current, spec }: RolloutContext, stage: number): Guard =>
  guard(
    'nextStage',
    stage === current + 1 && stage < stagesOf(spec),
    `stage ${current} of ${stagesOf(spec)} is running`,
    'reload the rollout',
  );

export const hasNextStage = ({ stage, spec }: RolloutContext): Guard =>
  guard(
    'nextStage',
    stage + 1 < stagesOf(spec),
    `stage ${stage} is the last of ${stagesOf(spec)}`,
    'nothing is above it: wait, or complete the rollout',
  );

export const lastStage = ({ stage, spec }: RolloutContext): Guard =>
  guard(
    'lastStage',
    !!spec && stage === stagesOf(spec) - 1,
    `stage ${stage} of ${stagesOf(spec)}`,
    'finish the stages',
  );

const stagesOf = (spec: RolloutSpec | null): number => spec?.stages.length ?? 0;

export const everyone = ({ spec }: RolloutContext): Guard =>
  guard(
    'everyone',
    !!spec && completesByItself(spec),
    'the last stage is 100 % of everyone',
    'abort it, and begin another one of a release, to 100 % of everyone',
  );

/** The stage ran for its ramp and its shortest bake, or a person skips the rest of it. `now` in Unix ms. */
export function baked(context: RolloutContext, now: number, override: boolean): Guard {
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

/** A stage that is held is left by override only: what holds it is set aside, with a reason. */
export const notHeld = ({ hold }: RolloutContext, override: boolean): readonly Guard[] =>
  hold === null || hold === 'regressed' // that one has its own guard
    ? []
    : [
        guard(
          'notHeld',
          override,
          override ? 'overridden' : `the stage is held (${hold})`,
          'advance with override and a reason',
        ),
      ];

export const reasonGiven = (override: boolean, reason: string | undefined): Guard =>
  guard('reasonGiven', !override || !!reason, reason ? 'a reason is given' : 'no reason is given', 'give a reason');

/** HEALTHY, or what the spec takes for it: QUIET and INCONCLUSIVE by `if_unproven`. */
export const healthy = ({ judged, spec }: RolloutContext): Guard =>
  guard(
    'healthy',
    !!spec && !!judged && consequence(spec, judged.verdict) === 'advance',
    `the stage is ${judged?.verdict ?? 'not judged'}`,
    'wait for the verdict',
  );

export const notRegressed = ({ regressed }: RolloutContext): Guard =>
  guard(
    'notRegressed',
    regressed === null,
    regressed ? `judged REGRESSED in stage ${regressed.stage}` : 'never judged REGRESSED',
    'roll back or abort; passing a regressed verdict needs a second person, which this release does not have',
  );

/** The judgement is the next look of the stage that runs, or it convicts a stage that a person left meanwhile. */
export function sameStage({ stage, looks }: RolloutContext, judgement: HealthJudgement): Guard {
  const convictsLeftStage = judgement.verdict === 'REGRESSED' && judgement.stage < stage;
  const isNextLook = judgement.stage === stage && judgement.look === looks + 1;
  return guard(
    'sameStage',
    convictsLeftStage || isNextLook,
    `look ${looks + 1} of stage ${stage} is next`,
    'judge the stage that runs',
  );
}

/** `noTarget`: why the version that a person named may not come back; undefined where none was named, or it may. */
export const devicesMayGo = (target: string | null, noTarget: string | undefined): Guard =>
  guard(
    'target',
    noTarget === undefined,
    noTarget ?? (target ? `devices go to ${target}` : 'no version is in force besides it'),
    'leave target_version out, or name a version that was stable and was not rolled back',
  );

export const stillStable = (isStable: boolean, version: string): Guard =>
  guard(
    'stillStable',
    isStable,
    `${version} is ${isStable ? '' : 'not '}the stable version`,
    'act on the rollout of the version that is stable',
  );
