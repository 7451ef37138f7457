/** Pure. `rollout@1`: how far a version may reach, and how it ends (`rollout.md` 2). Abort and rollback beat promote. Long: a chart is one file. */
import { assign, setup } from 'xstate';
import { durationMs } from '../domain/duration.ts';
import type { Judgement, RolloutFact, RolloutSpec } from '../domain/events/rollout.ts';
import { already, decideFacts, guard, type Decision } from './decision.ts';
import { wrap, type FactEvent, type Folded } from './fold.ts';
import { isUsable } from './modelVersion.ts';

type DataOf<T extends RolloutFact['type']> = Extract<RolloutFact, { type: T }>['data'];

export interface RolloutContext {
  readonly modelId: string;
  readonly version: string;
  readonly previous: string | null;
  readonly spec: RolloutSpec | null;
  readonly specSha: string;
  readonly seed: string | null;
  readonly lo: number;
  /** -1 before the first stage. */
  readonly stage: number;
  readonly entered: DataOf<'StageEntered'> | null;
  readonly enteredAt: number;
  /** Stage clock: ms run before `clockSince`; it runs only while the rollout is Active. */
  readonly clockMs: number;
  readonly clockSince: number | null;
  /** HealthJudged facts of this stage. */
  readonly looks: number;
  /** Last judgement of this stage. */
  readonly judged: Judgement | null;
  /** Latches for the life of the rollout. */
  readonly regressed: Judgement | null;
  /** Grows with each fact that makes an earlier step legal again. */
  readonly epoch: number;
  readonly paused: { readonly cause: string; readonly reason: string; readonly at: number } | null;
  readonly rolledBack: (DataOf<'RolloutRolledBack'> & { readonly at: number }) | null;
  readonly aborted: { readonly reason: string; readonly at: number } | null;
  readonly rootCauses: readonly { readonly text: string; readonly at: number }[];
  readonly createdAt: number;
  readonly startedAt: number | null;
  readonly completedAt: number | null;
  readonly updatedAt: number;
}

type Event = { [F in RolloutFact as F['type']]: FactEvent & F }[RolloutFact['type']];

const empty: RolloutContext = {
  modelId: '',
  version: '',
  previous: null,
  spec: null,
  specSha: '',
  seed: null,
  lo: 0,
  stage: -1,
  entered: null,
  enteredAt: 0,
  clockMs: 0,
  clockSince: null,
  looks: 0,
  judged: null,
  regressed: null,
  epoch: 0,
  paused: null,
  rolledBack: null,
  aborted: null,
  rootCauses: [],
  createdAt: 0,
  startedAt: null,
  completedAt: null,
  updatedAt: 0,
};

const stopClock = (context: RolloutContext, at: number) => ({
  clockMs: context.clockMs + (context.clockSince === null ? 0 : Math.max(0, at - context.clockSince)),
  clockSince: null,
});

const chart = setup({
  types: { context: {} as RolloutContext, events: {} as Event },
  actions: {
    entered: assign(({ event }) =>
      event.type === 'StageEntered'
        ? {
            stage: event.data.stage,
            entered: event.data,
            enteredAt: event.at,
            clockMs: 0,
            clockSince: event.at,
            looks: 0,
            judged: null,
            updatedAt: event.at,
          }
        : {},
    ),
    judged: assign(({ context, event }) =>
      event.type === 'HealthJudged'
        ? {
            looks: context.looks + 1,
            judged: event.data,
            regressed: context.regressed ?? (event.data.verdict === 'REGRESSED' ? event.data : null),
            updatedAt: event.at,
          }
        : {},
    ),
    clockStopped: assign(({ context, event }) => ({ ...stopClock(context, event.at), updatedAt: event.at })),
    paused: assign(({ event }) =>
      event.type === 'RolloutPaused'
        ? { paused: { cause: event.data.cause, reason: event.data.reason, at: event.at } }
        : {},
    ),
    // An inconclusive stage bakes once more. Of its ramp it keeps what it ran: failing downloads may stop it in the middle.
    resumed: assign(({ context, event }) => ({
      paused: null,
      ...(context.paused?.cause === 'inconclusive'
        ? { clockMs: Math.min(context.clockMs, context.entered?.ramp_ms ?? 0), judged: null }
        : {}),
      clockSince: event.at,
      epoch: context.epoch + 1,
      updatedAt: event.at,
    })),
    aborted: assign(({ event }) =>
      event.type === 'RolloutAborted' ? { aborted: { reason: event.data.reason, at: event.at } } : {},
    ),
    rolledBack: assign(({ event }) =>
      event.type === 'RolloutRolledBack' ? { rolledBack: { ...event.data, at: event.at } } : {},
    ),
    rootCause: assign(({ context, event }) =>
      event.type === 'RootCauseRecorded'
        ? { rootCauses: [...context.rootCauses, { text: event.data.text, at: event.at }], updatedAt: event.at }
        : {},
    ),
  },
  guards: {
    holds: ({ context, event }) =>
      event.type === 'HealthJudged' &&
      event.data.verdict === 'REGRESSED' &&
      context.spec !== null &&
      context.spec.on_regressed === 'hold',
    nextStage: ({ context, event }) => event.type === 'StageEntered' && event.data.stage === context.stage + 1,
  },
}).createMachine({
  id: 'rollout',
  context: empty,
  initial: 'None',
  states: {
    None: {
      on: {
        RolloutCreated: {
          target: 'Pending',
          actions: assign(({ event }) => ({
            modelId: event.data.model_id,
            version: event.data.version,
            previous: event.data.previous,
            spec: event.data.spec,
            specSha: event.data.spec_sha,
            createdAt: event.at,
            updatedAt: event.at,
          })),
        },
      },
    },
    Pending: {
      on: {
        RolloutStarted: {
          target: 'Active',
          actions: assign(({ event }) => ({
            seed: event.data.seed,
            lo: event.data.lo,
            epoch: 1,
            startedAt: event.at,
            updatedAt: event.at,
          })),
        },
        RolloutAborted: { target: 'Aborted', actions: ['aborted', 'clockStopped'] },
      },
    },
    Active: {
      on: {
        StageEntered: { guard: 'nextStage', actions: 'entered' },
        HealthJudged: [{ guard: 'holds', target: 'Held', actions: ['judged', 'clockStopped'] }, { actions: 'judged' }],
        RolloutPaused: { target: 'Paused', actions: ['clockStopped', 'paused'] },
        RolloutCompleted: {
          target: 'Completed',
          actions: ['clockStopped', assign(({ event }) => ({ completedAt: event.at }))],
        },
        RolloutAborted: { target: 'Aborted', actions: ['aborted', 'clockStopped'] },
        RolloutRolledBack: { target: 'RolledBack', actions: ['rolledBack', 'clockStopped'] },
      },
    },
    Held: {
      on: {
        HealthJudged: { actions: 'judged' },
        RolloutPaused: { target: 'Paused', actions: ['clockStopped', 'paused'] },
        RolloutAborted: { target: 'Aborted', actions: ['aborted', 'clockStopped'] },
        RolloutRolledBack: { target: 'RolledBack', actions: ['rolledBack', 'clockStopped'] },
      },
    },
    Paused: {
      on: {
        RolloutResumed: { target: 'Active', actions: 'resumed' },
        HealthJudged: { actions: 'judged' },
        RolloutAborted: { target: 'Aborted', actions: ['aborted', 'clockStopped'] },
        RolloutRolledBack: { target: 'RolledBack', actions: ['rolledBack', 'clockStopped'] },
      },
    },
    Completed: {
      on: {
        RolloutAborted: { target: 'Aborted', actions: ['aborted', 'clockStopped'] },
        RolloutRolledBack: { target: 'RolledBack', actions: ['rolledBack', 'clockStopped'] },
      },
    },
    RolledBack: { on: { RootCauseRecorded: { actions: 'rootCause' } } },
    Aborted: { on: { RootCauseRecorded: { actions: 'rootCause' } } },
  },
});

export const rolloutMachine = wrap<RolloutContext>('rollout@1', chart);
export type RolloutState = Folded<RolloutContext>;

export const LIVE_STATES = ['Active', 'Held', 'Paused'] as const;
/** Devices may hold the version because of this rollout, and it has not ended. */
export const isLive = (state: string) => (LIVE_STATES as readonly string[]).includes(state);

/** Milliseconds the stage has run by `now`: time in Active since StageEntered. */
export const stageClockMs = (context: RolloutContext, now: number) =>
  context.clockMs + (context.clockSince === null ? 0 : Math.max(0, now - context.clockSince));

/** Where the rollout ends by itself: 100 % of everyone. A smaller target, or a cohort, stays and is judged. */
export const completesByItself = (spec: RolloutSpec) =>
  spec.stages.at(-1)!.percent === 100 && spec.cohort === undefined;

/** Facts about other streams that a guard needs, loaded by the use case and kept out of replay. */
export type RolloutCommand =
  | { type: 'create'; data: DataOf<'RolloutCreated'>; versionState: string }
  | { type: 'start'; rolloutId: number; versionState: string; otherLive: number | null }
  | { type: 'pause'; cause: DataOf<'RolloutPaused'>['cause']; reason: string; missing?: readonly string[] }
  | { type: 'resume'; reason?: string }
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
      /** Why there is no target although a version was stable before; undefined where `target` may be used. */
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
        [published(command.versionState, command.data.version)],
      );
    case 'start': {
      if (state.state === 'Active' || state.state === 'Held') return already;
      const facts: RolloutFact[] = spec
        ? [{ type: 'RolloutStarted', data: { seed: String(command.rolloutId), lo: 0 } }, stageFact(context, 0, 'auto')]
        : [{ type: 'RolloutStarted', data: { seed: String(command.rolloutId), lo: 0 } }];
      return decide(facts, [
        published(command.versionState, context.version),
        guard(
          'alone',
          command.otherLive === null,
          command.otherLive === null ? 'no other rollout of the model is live' : `rollout ${command.otherLive} is live`,
          `complete, abort or roll back rollout ${command.otherLive ?? ''} first`,
        ),
      ]);
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
        [{ type: 'RolloutResumed', data: command.reason === undefined ? {} : { reason: command.reason } }],
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
            'complete the rollout',
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
            command.judgement.stage === context.stage && command.judgement.look === context.looks + 1,
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
            'start a rollout to 100 %',
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
          command.noTarget ?? (command.target ? `${command.target} was stable` : 'no version ever was stable'),
          'pause the rollout, and publish a version to go to',
        ),
      ];
      if (state.state === 'Completed') guards.push(stillStable(command.isStable, context.version));
      return decide(
        [
          {
            type: 'RolloutRolledBack',
            data: {
              target: command.target,
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

/** Asks the chart whether the state lets a stage be entered, where the spec has none: the guard `nextStage` refuses it. */
const noStage = (context: RolloutContext): Extract<RolloutFact, { type: 'StageEntered' }> => ({
  type: 'StageEntered',
  data: { stage: context.stage + 1, from: 0, to: 0, ramp_ms: 0, min_bake_ms: 0, max_bake_ms: 0, basis: 'auto' },
});

const published = (versionState: string, version: string) =>
  guard(
    'published',
    isUsable(versionState),
    `${version} is ${versionState}`,
    'publish the version first; a rolled-back one never returns',
  );

const stillStable = (isStable: boolean, version: string) =>
  guard(
    'stillStable',
    isStable,
    `${version} is ${isStable ? '' : 'not '}the stable version`,
    'act on the rollout of the stable version',
  );

function baked(context: RolloutContext, now: number, override: boolean) {
  const needed = (context.entered?.ramp_ms ?? 0) + (context.entered?.min_bake_ms ?? 0);
  const clock = stageClockMs(context, now);
  const met = override || clock >= needed;
  const left = Math.max(0, needed - clock);
  return guard(
    'minBakeElapsed',
    met,
    override ? 'overridden' : `the stage has run ${clock} ms of ${needed} ms`,
    context.clockSince === null
      ? `resume the rollout; ${left} ms of bake are left`
      : `wait until ${new Date(now + left).toISOString()}, or advance with override and a reason`,
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
