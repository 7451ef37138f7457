/** Pure. `trainingRun@1`: the rounds of one federated run (docs/design/learning.md "The machine"). */
import Type, { type Static } from 'typebox';
import { assign, setup, stateIn } from 'xstate';
import { Count, Nullable } from '../domain/events/fact.ts';
import { trainingFacts, TrainingSpec, type TrainingFact } from '../domain/events/training.ts';
import type { None, RoundState, RunStatus, TrainingStateName } from '../domain/states.ts';
import { wrap, type FactEvent, type Folded, type Machine, type StateNameOf } from './fold.ts';
import { appended, withLast } from './growing.ts';

const { TrainingRequested, RoundOpened, RoundClosed, RoundAggregated, RoundEvaluated, TrainingStopped } = trainingFacts;

const AggregatedRound = Type.Object({
  round: Count,
  attempt: Count,
  closed: RoundClosed.schema,
  aggregated: RoundAggregated.schema,
  evaluated: Nullable(RoundEvaluated.schema),
  at: Type.Number(),
});
/** A round whose aggregate is the base of the next one. */
export type AggregatedRound = Readonly<Static<typeof AggregatedRound>>;

const Context = Type.Object(
  {
    source: TrainingRequested.schema.properties.source,
    spec: Nullable(TrainingSpec),
    specSha: Type.String(),
    requestSha: Type.String(),
    base: Type.Object({ version: Nullable(Type.String()), sha: Type.String() }),
    /** The open or closed round, not yet aggregated. */
    current: Nullable(RoundOpened.schema),
    currentClosed: Nullable(RoundClosed.schema),
    rounds: Type.Array(AggregatedRound),
    /** Attempts of the next round so far, over pauses; grows until that round is aggregated. */
    attempts: Count,
    /** Abandoned in a row since the last aggregate or resume: past `on_quorum_miss.retry` the run pauses. */
    missedInRow: Count,
    abandoned: Count,
    lastAbandoned: Nullable(Type.Object({ reason: Type.String(), at: Type.Number() })),
    paused: Nullable(Type.Object({ ...trainingFacts.TrainingPaused.schema.properties, at: Type.Number() })),
    stopped: Nullable(TrainingStopped.schema),
    ended: Nullable(
      Type.Object({
        kind: Type.Union([Type.Literal('succeeded'), Type.Literal('aborted')]),
        reason: Nullable(Type.String()),
        at: Type.Number(),
      }),
    ),
    requestedAt: Type.Number(),
    updatedAt: Type.Number(),
  },
  { additionalProperties: false },
);
export type TrainingContext = Readonly<Static<typeof Context>>;

type Event = { [F in TrainingFact as F['type']]: FactEvent & F }[TrainingFact['type']];

const empty: TrainingContext = {
  source: 'own',
  spec: null,
  specSha: '',
  requestSha: '',
  base: { version: null, sha: '' },
  current: null,
  currentClosed: null,
  rounds: [],
  attempts: 0,
  missedInRow: 0,
  abandoned: 0,
  lastAbandoned: null,
  paused: null,
  stopped: null,
  ended: null,
  requestedAt: 0,
  updatedAt: 0,
};

const chart = setup({
  types: { context: {} as TrainingContext, events: {} as Event },
  actions: {
    abandoned: assign(({ context, event }) =>
      event.type === 'RoundAbandoned'
        ? {
            current: null,
            currentClosed: null,
            abandoned: context.abandoned + 1,
            missedInRow: context.missedInRow + 1,
            lastAbandoned: { reason: event.data.reason, at: event.at },
            updatedAt: event.at,
          }
        : {},
    ),
    aborted: assign(({ event }) =>
      event.type === 'TrainingAborted'
        ? {
            ended: { kind: 'aborted' as const, reason: event.data.reason, at: event.at },
            updatedAt: event.at,
          }
        : {},
    ),
  },
  guards: {
    sameRound: ({ context, event }) =>
      'round' in event.data &&
      'attempt' in event.data &&
      context.current?.round === event.data.round &&
      context.current.attempt === event.data.attempt,
    lastRound: ({ context, event }) => {
      const last = context.rounds.at(-1);
      return event.type === 'RoundEvaluated' && last?.round === event.data.round && last.evaluated === null;
    },
  },
}).createMachine({
  id: 'trainingRun',
  context: empty,
  initial: 'None',
  states: {
    None: {
      on: {
        TrainingRequested: {
          target: 'Running',
          actions: assign(({ event }) => ({
            source: event.data.source,
            spec: event.data.spec,
            specSha: event.data.spec_sha,
            requestSha: event.data.request_sha,
            base: event.data.base,
            requestedAt: event.at,
            updatedAt: event.at,
          })),
        },
      },
    },
    Running: {
      type: 'parallel',
      on: {
        TrainingStopped: {
          target: 'Ending',
          actions: assign(({ event }) => ({ stopped: event.data, updatedAt: event.at })),
        },
        TrainingAborted: { target: 'Aborted', actions: 'aborted' },
      },
      states: {
        control: {
          initial: 'active',
          states: {
            active: {
              on: {
                TrainingPaused: {
                  target: 'paused',
                  actions: assign(({ event }) => ({
                    paused: { ...event.data, at: event.at },
                    updatedAt: event.at,
                  })),
                },
              },
            },
            paused: {
              on: {
                TrainingResumed: {
                  target: 'active',
                  actions: assign(({ event }) => ({ paused: null, missedInRow: 0, updatedAt: event.at })),
                },
              },
            },
          },
        },
        round: {
          initial: 'between',
          states: {
            between: {
              on: {
                RoundOpened: {
                  guard: stateIn({ Running: { control: 'active' } }),
                  target: 'collecting',
                  actions: assign(({ event }) => ({
                    current: event.data,
                    currentClosed: null,
                    attempts: event.data.attempt,
                    updatedAt: event.at,
                  })),
                },
                RoundEvaluated: {
                  guard: 'lastRound',
                  actions: assign(({ context, event }) => ({
                    rounds: withLast(context.rounds, (last) => ({ ...last, evaluated: event.data }), event.own),
                    updatedAt: event.at,
                  })),
                },
              },
            },
            collecting: {
              on: {
                RoundClosed: {
                  guard: 'sameRound',
                  target: 'closed',
                  actions: assign(({ event }) => ({ currentClosed: event.data, updatedAt: event.at })),
                },
                RoundAbandoned: { guard: 'sameRound', target: 'between', actions: 'abandoned' },
              },
            },
            closed: {
              on: {
                RoundAggregated: {
                  guard: 'sameRound',
                  target: 'between',
                  actions: assign(({ context, event }) => ({
                    rounds: appended(
                      context.rounds,
                      {
                        round: event.data.round,
                        attempt: event.data.attempt,
                        closed: context.currentClosed!,
                        aggregated: event.data,
                        evaluated: null,
                        at: event.at,
                      },
                      event.own,
                    ),
                    current: null,
                    currentClosed: null,
                    attempts: 0,
                    missedInRow: 0,
                    updatedAt: event.at,
                  })),
                },
                RoundAbandoned: { guard: 'sameRound', target: 'between', actions: 'abandoned' },
              },
            },
          },
        },
      },
    },
    Ending: {
      on: {
        TrainingSucceeded: {
          target: 'Succeeded',
          actions: assign(({ event }) => ({
            ended: { kind: 'succeeded' as const, reason: null, at: event.at },
            updatedAt: event.at,
          })),
        },
        TrainingAborted: { target: 'Aborted', actions: 'aborted' },
      },
    },
    Succeeded: {},
    Aborted: {},
  },
});

export type TrainingState = Folded<TrainingContext, TrainingStateName | None>;
export const trainingMachine: Machine<TrainingContext, TrainingState['state']> = wrap<
  TrainingContext,
  StateNameOf<typeof chart, TrainingState['state'], ['control', 'round']>
>('trainingRun@1', chart, Context);

/** Words for people: of the run, and of its rounds. */
const STANDING: Readonly<Record<TrainingStateName, { readonly run: RunStatus; readonly round: RoundState }>> = {
  'Running.control.active+round.between': { run: 'active', round: 'between' },
  'Running.control.active+round.collecting': { run: 'active', round: 'collecting' },
  'Running.control.active+round.closed': { run: 'active', round: 'closed' },
  'Running.control.paused+round.between': { run: 'paused', round: 'between' },
  'Running.control.paused+round.collecting': { run: 'paused', round: 'collecting' },
  'Running.control.paused+round.closed': { run: 'paused', round: 'closed' },
  Ending: { run: 'ending', round: 'over' },
  Succeeded: { run: 'succeeded', round: 'over' },
  Aborted: { run: 'aborted', round: 'over' },
};
export const runStatus = (state: TrainingStateName): RunStatus => STANDING[state].run;
export const roundState = (state: TrainingStateName): RoundState => STANDING[state].round;
export const isPaused = ({ state }: TrainingState) => state !== 'None' && runStatus(state) === 'paused';
/** The model on which the next round trains. */
export const currentBase = (context: TrainingContext): string =>
  context.rounds.at(-1)?.aggregated.model_sha ?? context.base.sha;
