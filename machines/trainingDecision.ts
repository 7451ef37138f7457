/**
 * Pure. What a training run answers to a command (docs/design/learning.md "The machine"): the named guards of its rounds, read as
 * one.
 */
import type { RoundClosedData, RoundOpenedData, TrainingFact } from '../domain/events/training.ts';
import { already, decideFacts, guard, type Decision } from './decision.ts';
import { currentBase, isPaused, trainingMachine, type TrainingContext, type TrainingState } from './trainingRun.ts';

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

/** What may follow in the run's own stream. Never throws. */
export function decideTraining(state: TrainingState, command: TrainingCommand, now: number): Decision<TrainingFact> {
  const { context } = state;
  const spec = context.spec;
  const decide = (facts: TrainingFact[], guards: ReturnType<typeof guard>[] = []) =>
    decideFacts(trainingMachine, state, command.type, facts, guards, now);
  const abandonOpen = (reason: 'stopped' | 'aborted', counted: number): TrainingFact[] =>
    context.current
      ? [
          {
            type: 'RoundAbandoned',
            data: {
              round: context.current.round,
              attempt: context.current.attempt,
              reason,
              counted: context.currentClosed?.counted ?? counted,
              needed: context.current.min_updates,
            },
          },
        ]
      : [];
  switch (command.type) {
    case 'request':
      return decide([{ type: 'TrainingRequested', data: command.data }]);
    case 'openRound': {
      const next = context.rounds.length + 1;
      const last = context.rounds.at(-1);
      const evaluated = !spec?.evaluation || !last || last.evaluated !== null;
      return decide(
        [{ type: 'RoundOpened', data: command.data }],
        [
          guard(
            'roundsLeft',
            !!spec && context.rounds.length < spec.rounds,
            `${context.rounds.length} rounds are in`,
            'finish the run',
          ),
          guard('nextRound', command.data.round === next, `round ${next} is next`, `open round ${next}`),
          guard(
            'nextAttempt',
            command.data.attempt === context.attempts + 1,
            `attempt ${context.attempts + 1} is next`,
            'reload the run',
          ),
          guard(
            'evaluated',
            evaluated,
            evaluated ? 'nothing to evaluate' : 'the last round is not evaluated',
            'evaluate it',
          ),
          guard(
            'base',
            command.data.base_sha === currentBase(context),
            'the base is the last aggregate',
            'reload the run',
          ),
        ],
      );
    }
    case 'closeRound': {
      const needed = context.current?.min_updates ?? 0;
      return decide(
        [{ type: 'RoundClosed', data: command.data }],
        [
          guard(
            'quorum',
            command.data.counted >= needed,
            `${command.data.counted} of ${needed} updates`,
            'wait for more updates, or abandon the round',
          ),
        ],
      );
    }
    case 'recordAggregate':
      return decide([{ type: 'RoundAggregated', data: command.data }]);
    case 'recordEvaluation':
      return decide([{ type: 'RoundEvaluated', data: command.data }]);
    case 'abandonRound':
      return decide([{ type: 'RoundAbandoned', data: command.data }]);
    case 'pause':
      if (isPaused(state)) return already;
      return decide([{ type: 'TrainingPaused', data: command.data }]);
    case 'resume':
      if (state.state.startsWith('Running') && !isPaused(state)) return already;
      return decide([{ type: 'TrainingResumed', data: command.data }]);
    case 'stop': {
      if (state.state === 'Ending' || state.state === 'Succeeded') return already;
      const abandoned = abandonOpen('stopped', command.counted);
      if (context.rounds.length === 0) {
        return decide([...abandoned, { type: 'TrainingAborted', data: { reason: 'no_round' } }]);
      }
      return decide([...abandoned, stopFact(context, command.rule)]);
    }
    case 'abort':
      if (state.state === 'Aborted') return already;
      return decide([
        ...abandonOpen('aborted', command.counted),
        { type: 'TrainingAborted', data: { reason: command.reason } },
      ]);
    case 'finish': {
      if (state.state === 'Succeeded') return already;
      const last = context.rounds.at(-1);
      const complete = !!spec && context.rounds.length >= spec.rounds;
      const stop: TrainingFact[] = state.state === 'Ending' ? [] : [stopFact(context, 'rounds')];
      return decide(
        [
          ...stop,
          {
            type: 'TrainingSucceeded',
            data: { selected_round: last?.round ?? 0, model_sha: last?.aggregated.model_sha ?? context.base.sha },
          },
        ],
        [
          guard(
            'roundsIn',
            state.state === 'Ending' || complete,
            `${context.rounds.length} of ${spec?.rounds ?? 0} rounds are in`,
            'wait for the last round, or stop the run',
          ),
          guard('aggregated', last !== undefined, `${context.rounds.length} rounds were aggregated`, 'abort the run'),
        ],
      );
    }
  }
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
