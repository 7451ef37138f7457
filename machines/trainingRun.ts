/** Pure. `trainingRun@1`: the rounds of one federated run (`learning.md` 2.1). */
import { assign, setup, stateIn } from 'xstate';
import type { RoundClosedData, RoundOpenedData, TrainingFact, TrainingSpec } from '../domain/events/training.ts';
import { wrap, type FactEvent, type Folded } from './fold.ts';
import { appended, withLast } from './growing.ts';

type DataOf<T extends TrainingFact['type']> = Extract<TrainingFact, { type: T }>['data'];

/** A round whose aggregate is the base of the next one. */
export interface AggregatedRound {
  readonly round: number;
  readonly attempt: number;
  readonly closed: RoundClosedData;
  readonly aggregated: DataOf<'RoundAggregated'>;
  readonly evaluated: DataOf<'RoundEvaluated'> | null;
  readonly at: number;
}

export interface TrainingContext {
  readonly source: DataOf<'TrainingRequested'>['source'];
  readonly spec: TrainingSpec | null;
  readonly specSha: string;
  readonly requestSha: string;
  readonly base: { readonly version: string | null; readonly sha: string };
  /** The open or closed round, not yet aggregated. */
  readonly current: RoundOpenedData | null;
  readonly currentClosed: RoundClosedData | null;
  readonly rounds: readonly AggregatedRound[];
  /** Attempts of the next round so far, over pauses; grows until that round is aggregated. */
  readonly attempts: number;
  /** Abandoned in a row since the last aggregate or resume: past `on_quorum_miss.retry` the run pauses. */
  readonly missedInRow: number;
  readonly abandoned: number;
  readonly lastAbandoned: { readonly reason: string; readonly at: number } | null;
  readonly paused: {
    readonly reason: string;
    readonly by: string;
    readonly at: number;
    readonly code?: 'internal_fault';
  } | null;
  readonly stopped: DataOf<'TrainingStopped'> | null;
  readonly ended: {
    readonly kind: 'succeeded' | 'aborted';
    readonly reason: string | null;
    readonly at: number;
  } | null;
  readonly requestedAt: number;
  readonly updatedAt: number;
}

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

export const trainingMachine = wrap<TrainingContext>('trainingRun@1', chart);
export type TrainingState = Folded<TrainingContext>;

export const isPaused = (state: TrainingState) => state.state.includes('control.paused');
export const roundState = (state: TrainingState): 'between' | 'collecting' | 'closed' | undefined =>
  // The pattern admits these words only.
  /round\.(between|collecting|closed)/.exec(state.state)?.[1] as 'between' | 'collecting' | 'closed' | undefined;
/** The word for people: requested runs are `active`, then `paused`, `ending`, `succeeded`, `aborted`. */
export function runStatus(state: TrainingState): 'active' | 'paused' | 'ending' | 'succeeded' | 'aborted' {
  if (state.context.ended) return state.context.ended.kind;
  if (state.state === 'Ending') return 'ending';
  return isPaused(state) ? 'paused' : 'active';
}
/** The model on which the next round trains. */
export const currentBase = (context: TrainingContext): string =>
  context.rounds.at(-1)?.aggregated.model_sha ?? context.base.sha;
