/**
 * Pure. `rollout@1`: how far a version may reach, and how it ends (docs/design/rollout.md "States and commands"). Abort and
 * rollback beat promote.
 */
import Type, { type Static } from 'typebox';
import { assign, setup } from 'xstate';
import { Count, Nullable } from '../domain/events/fact.ts';
import {
  HealthBasis,
  HealthJudgement,
  PauseCause,
  rolloutFacts,
  RolloutSpec,
  SetAside,
  type RolloutFact,
} from '../domain/events/rollout.ts';
import { FrozenEvidence } from '../domain/events/verdict.ts';
import { ROLLOUT_STATES, type None, type RolloutStateName } from '../domain/states.ts';
import { leftOn, weaker } from '../domain/rollout/basis.ts';
import { Hold, nextHold, setsAside } from '../domain/rollout/holding.ts';
import { isEvidence, isThresholds, silenceAfterMs } from '../domain/rollout/policies.ts';
import { NOT_RUNNING, resumeClock, startClock, stopClock, type StageClock } from '../domain/rollout/stageClock.ts';
import { owedAfter } from '../domain/rollout/verdict/trust.ts';
import { wrap, type FactEvent, type Folded, type Machine, type StateNameOf } from './fold.ts';
import { appended } from './growing.ts';

const Ended = Type.Object({ reason: Type.String(), at: Type.Number() });

const Context = Type.Object(
  {
    modelId: Type.String(),
    version: Type.String(),
    previous: Nullable(Type.String()),
    spec: Nullable(RolloutSpec),
    specSha: Type.String(),
    seed: Nullable(Type.String()),
    lo: Type.Integer(),
    /** -1 before the first stage. */
    stage: Type.Integer({ minimum: -1 }),
    entered: Nullable(rolloutFacts.StageEntered.schema),
    enteredAt: Type.Number(),
    /** Of the stage; it runs only while the rollout is Active. */
    clock: Type.Object({
      ranMs: Type.Number(),
      since: Nullable(Type.Number()),
      stoodAt: Nullable(Type.Number()),
      evidenceStage: Count,
    }),
    /** What holds it; also while it is paused. */
    hold: Nullable(Hold),
    /** What was fixed at the start; null under fixed limits. */
    frozen: Nullable(FrozenEvidence),
    /** Metrics that were proven in any stage: they stay so. */
    proven: Type.Array(Type.String()),
    /** Stage clock of this stage's last look that might prove; -1 before the first. */
    proofAt: Type.Integer({ minimum: -1 }),
    /** Good looks that the next judgement is still owed. */
    goodLooksOwed: Count,
    /** The weakest on which a stage was left by health; null under fixed limits, and before the first was left. */
    basis: Nullable(HealthBasis),
    /** HealthJudged facts of this stage. */
    looks: Count,
    /** Last judgement of this stage. */
    judged: Nullable(HealthJudgement),
    /** Downloads of this stage that no longer count against it. */
    setAside: Nullable(SetAside),
    /** Latches for the life of the rollout. */
    regressed: Nullable(HealthJudgement),
    /** Grows with each fact that makes an earlier step legal again. */
    epoch: Count,
    paused: Nullable(Type.Object({ cause: PauseCause, ...Ended.properties })),
    rolledBack: Nullable(Type.Object({ ...rolloutFacts.RolloutRolledBack.schema.properties, at: Type.Number() })),
    aborted: Nullable(Ended),
    rootCauses: Type.Array(Type.Object({ text: Type.String(), at: Type.Number() })),
    createdAt: Type.Number(),
    startedAt: Nullable(Type.Number()),
    completedAt: Nullable(Type.Number()),
    updatedAt: Type.Number(),
  },
  { additionalProperties: false },
);
export type RolloutContext = Readonly<Static<typeof Context>>;

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
  clock: NOT_RUNNING,
  hold: null,
  frozen: null,
  proven: [],
  proofAt: -1,
  goodLooksOwed: 0,
  basis: null,
  looks: 0,
  judged: null,
  setAside: null,
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

/** Of this stage only: a conviction of one that was left meanwhile says nothing about the stage that runs. */
const lookedAt = (context: RolloutContext, judgement: HealthJudgement): Partial<RolloutContext> => ({
  looks: context.looks + 1,
  judged: judgement,
  hold: holdAfter(context, judgement),
  ...(isEvidence(judgement)
    ? {
        proven: [...new Set([...context.proven, ...judgement.proven])],
        proofAt: judgement.given.proof_look ? judgement.clock_ms : context.proofAt,
        goodLooksOwed: owedAfter(judgement.distrust, judgement.given.good_looks_owed),
      }
    : {}),
});

const holdAfter = ({ hold, spec, stage }: RolloutContext, judgement: HealthJudgement): Hold | null =>
  nextHold({ hold, stage, on_regressed: spec?.on_regressed ?? 'rollback' }, judgement);

/** Verdicts that a resume leaves behind. */
const standsStill = (judged: HealthJudgement | null): boolean =>
  judged !== null && ['INCONCLUSIVE', 'QUIET', 'UNTRUSTED', 'HELD'].includes(judged.verdict);

const clockOn = ({ clock, paused, entered, spec }: RolloutContext, at: number, isSetAside: boolean): StageClock =>
  resumeClock(clock, at, {
    cause: paused?.cause ?? null,
    rampMs: entered?.ramp_ms ?? 0,
    silenceAfterMs: spec && silenceAfterMs(spec),
    setsAside: isSetAside,
  });

const chart = setup({
  types: { context: {} as RolloutContext, events: {} as Event },
  actions: {
    entered: assign(({ context, event }) =>
      event.type === 'StageEntered'
        ? {
            stage: event.data.stage,
            entered: event.data,
            enteredAt: event.at,
            clock: startClock(event.at),
            hold: null,
            proofAt: -1,
            basis: weaker(context.basis, leftOn(context, event.data.basis)),
            looks: 0,
            judged: null,
            setAside: null,
            updatedAt: event.at,
          }
        : {},
    ),
    // A conviction of a stage that a person left in that moment says nothing about the stage that runs.
    judged: assign(({ context, event }) =>
      event.type === 'HealthJudged'
        ? {
            ...(event.data.stage === context.stage ? lookedAt(context, event.data) : {}),
            regressed: context.regressed ?? (event.data.verdict === 'REGRESSED' ? event.data : null),
            updatedAt: event.at,
          }
        : {},
    ),
    clockStopped: assign(({ context, event }) => ({ clock: stopClock(context.clock, event.at), updatedAt: event.at })),
    completed: assign(({ context, event }) =>
      event.type === 'RolloutCompleted'
        ? { completedAt: event.at, basis: weaker(context.basis, leftOn(context, event.data.basis)) }
        : {},
    ),
    paused: assign(({ event }) =>
      event.type === 'RolloutPaused'
        ? { paused: { cause: event.data.cause, reason: event.data.reason, at: event.at } }
        : {},
    ),
    wentOn: assign(({ context, event }) => ({ clock: clockOn(context, event.at, false), updatedAt: event.at })),
    resumed: assign(({ context, event }) => ({
      paused: null,
      hold: null,
      // Said again by the next look, if it is still so.
      ...(context.paused?.cause === 'inconclusive' || standsStill(context.judged) ? { judged: null } : {}),
      ...(event.type === 'RolloutResumed' && event.data.set_aside ? { setAside: event.data.set_aside } : {}),
      clock: clockOn(context, event.at, setsAside(context.hold)),
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
        ? {
            rootCauses: appended(context.rootCauses, { text: event.data.text, at: event.at }, event.own),
            updatedAt: event.at,
          }
        : {},
    ),
  },
  guards: {
    holds: ({ context, event }) => event.type === 'HealthJudged' && holdAfter(context, event.data) !== null,
    convicts: ({ context, event }) =>
      event.type === 'HealthJudged' && event.data.verdict === 'REGRESSED' && context.spec?.on_regressed === 'rollback',
    /** A person decides about it: what is not trusted clears by itself, and a conviction never does. */
    mayGoOn: ({ context }) => setsAside(context.hold),
    mayLeave: ({ context, event }) =>
      setsAside(context.hold) && event.type === 'StageEntered' && event.data.stage === context.stage + 1,
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
            frozen: event.data.evidence ?? null,
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
          actions: ['clockStopped', 'completed'],
        },
        RolloutAborted: { target: 'Aborted', actions: ['aborted', 'clockStopped'] },
        RolloutRolledBack: { target: 'RolledBack', actions: ['rolledBack', 'clockStopped'] },
      },
    },
    Held: {
      on: {
        StageEntered: { guard: 'mayLeave', target: 'Active', actions: 'entered' },
        HealthJudged: [
          { guard: 'holds', actions: 'judged' },
          { target: 'Active', actions: ['wentOn', 'judged'] },
        ],
        RolloutResumed: { guard: 'mayGoOn', target: 'Active', actions: 'resumed' },
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
        // Of a look that was under way when a person completed: the rollback follows in the same append.
        HealthJudged: { guard: 'convicts', actions: 'judged' },
        RolloutAborted: { target: 'Aborted', actions: ['aborted', 'clockStopped'] },
        RolloutRolledBack: { target: 'RolledBack', actions: ['rolledBack', 'clockStopped'] },
      },
    },
    RolledBack: { on: { RootCauseRecorded: { actions: 'rootCause' } } },
    Aborted: { on: { RootCauseRecorded: { actions: 'rootCause' } } },
  },
});

export type RolloutState = Folded<RolloutContext, RolloutStateName | None>;
export const rolloutMachine: Machine<RolloutContext, RolloutState['state']> = wrap<
  RolloutContext,
  StateNameOf<typeof chart, RolloutState['state']>
>('rollout@1', chart, Context);

/** Whether devices may hold the version because of this rollout, and it has not ended. */
const LIVE: Readonly<Record<RolloutStateName, boolean>> = {
  Pending: false,
  Active: true,
  Held: true,
  Paused: true,
  Completed: false,
  RolledBack: false,
  Aborted: false,
};
export const isLive = (state: RolloutStateName | None) => state !== 'None' && LIVE[state];
export const LIVE_STATES: readonly RolloutStateName[] = ROLLOUT_STATES.filter(isLive);

/** A rule on downloads stopped it: whoever resumes it has seen to them, so they no longer count (`set_aside`). */
export const pausedByDownloads = ({ paused, judged }: RolloutContext) =>
  paused !== null && judged !== null && isThresholds(judged) && judged.rule?.metric === 'download_failure_rate';
