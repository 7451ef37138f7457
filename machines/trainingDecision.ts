/**
 * Pure. What a training run answers to a command (docs/design/learning.md "The machine"): a step a command, which names the facts
 * that would follow and the guards of `trainingGuards.ts` that must hold.
 */
import type { Guard } from '../domain/errors.ts';
import type { RoundClosedData, RoundOpenedData, TrainingFact } from '../domain/events/training.ts';
import { already, decideFacts, type Decision } from './decision.ts';
import {
  aggregated,
  evaluated,
  nextAttempt,
  nextRound,
  quorum,
  roundsIn,
  roundsLeft,
  startsFromLast,
} from './trainingGuards.ts';
import { isPaused, trainingMachine, type TrainingContext, type TrainingState } from './trainingRun.ts';

type DataOf<T extends TrainingFact['type']> = Extract<TrainingFact, { type: T }>['data'];

export type TrainingCommand =
  | { type: 'request'; data: DataOf<'TrainingRequested'> }
  | { type: 'openRound'; data: RoundOpenedData }
  | { type: 'closeRound'; data: RoundClosedData }
  | { type: 'recordAggregate'; data: DataOf<'RoundAggregated'> }
  | { type: 'recordEvaluation'; data: DataOf<'RoundEvaluated'> }
  | { type: 'abandonRound'; data: DataOf<'RoundAbandoned'> }
  | { type: 'pause'; data: DataOf<'TrainingPaused'> }
  | { type: 'resume'; data: DataOf<'TrainingResumed'> }
  /** `counted`: updates of the open round, for the fact that abandons it. */
  | { type: 'stop'; rule: 'manual'; counted: number }
  | { type: 'abort'; reason: string; counted: number }
  /** The last round is in, or a person stopped: select the checkpoint and succeed. */
  | { type: 'finish' };

/** What a command would add, and what must hold for it besides the state; or it asks for what is so. */
type Step = { readonly facts: readonly TrainingFact[]; readonly guards?: readonly Guard[] } | typeof already;

type Of<T extends TrainingCommand['type']> = Extract<TrainingCommand, { type: T }>;

/** What may follow in the run's own stream. Never throws. */
export function decideTraining(state: TrainingState, command: TrainingCommand, now: number): Decision<TrainingFact> {
  const step = stepOf(state, command);
  if ('kind' in step) return step;
  return decideFacts(trainingMachine, state, command.type, step.facts, step.guards ?? [], now);
}

function stepOf(state: TrainingState, command: TrainingCommand): Step {
  switch (command.type) {
    case 'request':
      return { facts: [{ type: 'TrainingRequested', data: command.data }] };
    case 'openRound':
      return openRound(state, command);
    case 'closeRound':
      return { facts: [{ type: 'RoundClosed', data: command.data }], guards: [quorum(state.context, command.data)] };
    case 'recordAggregate':
      return { facts: [{ type: 'RoundAggregated', data: command.data }] };
    case 'recordEvaluation':
      return { facts: [{ type: 'RoundEvaluated', data: command.data }] };
    case 'abandonRound':
      return { facts: [{ type: 'RoundAbandoned', data: command.data }] };
    case 'pause':
      return isPaused(state) ? already : { facts: [{ type: 'TrainingPaused', data: command.data }] };
    case 'resume':
      return resume(state, command);
    case 'stop':
      return stop(state, command);
    case 'abort':
      return abort(state, command);
    case 'finish':
      return finish(state);
  }
}

const openRound = ({ context }: TrainingState, { data }: Of<'openRound'>): Step => ({
  facts: [{ type: 'RoundOpened', data }],
  guards: [
    roundsLeft(context),
    nextRound(context, data.round),
    nextAttempt(context, data.attempt),
    evaluated(context),
    startsFromLast(context, data.base_sha),
  ],
});

function resume(state: TrainingState, { data }: Of<'resume'>): Step {
  if (state.state.startsWith('Running') && !isPaused(state)) return already;
  return { facts: [{ type: 'TrainingResumed', data }] };
}

/** With a round in, the run ends with what it has; without one there is nothing to make a version of. */
function stop({ state, context }: TrainingState, { rule, counted }: Of<'stop'>): Step {
  if (state === 'Ending' || state === 'Succeeded') return already;
  const ending: TrainingFact =
    context.rounds.length === 0 ? { type: 'TrainingAborted', data: { reason: 'no_round' } } : stopFact(context, rule);
  return { facts: [...abandonOpen(context, 'stopped', counted), ending] };
}

function abort({ state, context }: TrainingState, { reason, counted }: Of<'abort'>): Step {
  if (state === 'Aborted') return already;
  return { facts: [...abandonOpen(context, 'aborted', counted), { type: 'TrainingAborted', data: { reason } }] };
}

function finish({ state, context }: TrainingState): Step {
  if (state === 'Succeeded') return already;
  const isEnding = state === 'Ending';
  const last = context.rounds.at(-1);
  const data = { selected_round: last?.round ?? 0, model_sha: last?.aggregated.model_sha ?? context.base.sha };
  return {
    facts: [...(isEnding ? [] : [stopFact(context, 'rounds')]), { type: 'TrainingSucceeded', data }],
    guards: [roundsIn(context, isEnding), aggregated(context)],
  };
}

/** The round that is open, if one is, goes with the run. */
function abandonOpen(
  { current, currentClosed }: TrainingContext,
  reason: 'stopped' | 'aborted',
  counted: number,
): TrainingFact[] {
  if (!current) return [];
  const { round, attempt, min_updates: needed } = current;
  const data = { round, attempt, reason, counted: currentClosed?.counted ?? counted, needed };
  return [{ type: 'RoundAbandoned', data }];
}

function stopFact(context: TrainingContext, rule: 'rounds' | 'manual'): TrainingFact {
  const last = context.rounds.at(-1);
  return {
    type: 'TrainingStopped',
    data: {
      rule,
      round: last?.round ?? 0,
      numbers: { rounds: context.rounds.length, planned: context.spec?.rounds ?? 0 },
      selected_round: last?.round ?? 0,
    },
  };
}
