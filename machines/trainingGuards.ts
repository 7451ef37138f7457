/** Pure. The named guards of a run's commands (docs/design/learning.md "The machine"): each says why, and how to meet it. */
import type { Guard } from '../domain/errors.ts';
import type { RoundClosedData } from '../domain/events/training.ts';
import { guard } from './decision.ts';
import { currentBase, type TrainingContext } from './trainingRun.ts';

export const roundsLeft = ({ spec, rounds }: TrainingContext): Guard =>
  guard('roundsLeft', !!spec && rounds.length < spec.rounds, `${rounds.length} rounds are in`, 'finish the run');

export function nextRound({ rounds }: TrainingContext, round: number): Guard {
  const next = rounds.length + 1;
  return guard('nextRound', round === next, `round ${next} is next`, `open round ${next}`);
}

export function nextAttempt({ attempts }: TrainingContext, attempt: number): Guard {
  const next = attempts + 1;
  return guard('nextAttempt', attempt === next, `attempt ${next} is next`, 'reload the run');
}

/** A run with held-out data evaluates each round before the next one opens. */
export function evaluated({ spec, rounds }: TrainingContext): Guard {
  const last = rounds.at(-1);
  const met = !spec?.evaluation || !last || last.evaluated !== null;
  return guard('evaluated', met, met ? 'nothing to evaluate' : 'the last round is not evaluated', 'evaluate it');
}

export const startsFromLast = (context: TrainingContext, baseSha: string): Guard =>
  guard('base', baseSha === currentBase(context), 'the base is the last aggregate', 'reload the run');

export function quorum({ current }: TrainingContext, { counted }: Pick<RoundClosedData, 'counted'>): Guard {
  const needed = current?.min_updates ?? 0;
  const howToMeet = 'wait for more updates, or abandon the round';
  return guard('quorum', counted >= needed, `${counted} of ${needed} updates`, howToMeet);
}

/** @param isEnding a person stopped it: what is in is enough */
export function roundsIn({ spec, rounds }: TrainingContext, isEnding: boolean): Guard {
  const isComplete = !!spec && rounds.length >= spec.rounds;
  const why = `${rounds.length} of ${spec?.rounds ?? 0} rounds are in`;
  return guard('roundsIn', isEnding || isComplete, why, 'wait for the last round, or stop the run');
}

export const aggregated = ({ rounds }: TrainingContext): Guard =>
  guard('aggregated', rounds.length > 0, `${rounds.length} rounds were aggregated`, 'abort the run');
