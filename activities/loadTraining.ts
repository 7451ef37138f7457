/** Where a training run stands, and its next step with the command that takes it. */
import { finishRunId, pauseRunId, roundStepId } from '../domain/events/commandIds.ts';
import { trainingStream } from '../domain/events/streams.ts';
import { planTraining, type TrainingStanding, type TrainingStep } from '../domain/learning/plan.ts';
import { exists } from '../machines/fold.ts';
import { isPaused, roundState, type TrainingContext, type TrainingState } from '../machines/trainingRun.ts';
import { roundIdOf } from '../store/rounds/roundRow.ts';
import type { TrainingStepView, TrainingView } from './contract.ts';
import type { ActivityDeps } from './deps.ts';
import { foldStream } from './foldStream.ts';
import { resumesOf } from './resumes.ts';

type Phase =
  | Pick<Extract<TrainingStanding, { phase: 'collecting' }>, 'phase' | 'current'>
  | { readonly phase: Exclude<TrainingStanding['phase'], 'collecting'> };

function phaseOf(state: TrainingState, counted: number): Phase {
  if (!exists(state)) return { phase: 'between' };
  if (state.state === 'Ending') return { phase: 'ending' };
  const phase = roundState(state.state);
  if (phase !== 'collecting') return { phase };
  const current = state.context.current!; // RoundOpened leads there, and sets it
  return {
    phase,
    current: {
      round: current.round,
      attempt: current.attempt,
      deadline: Date.parse(current.deadline),
      hardDeadline: Date.parse(current.hard_deadline),
      minUpdates: current.min_updates,
      counted,
    },
  };
}

/** The fold as the planner's plain data. `counted` comes from the open round's row. */
export function trainingStanding(state: TrainingState, counted: number, now: number): TrainingStanding {
  const { context } = state;
  return {
    spec: context.spec!, // set by TrainingRequested, the first fact
    now,
    isPaused: isPaused(state),
    isFaulty: isPaused(state) && context.paused?.code === 'internal_fault',
    ...phaseOf(state, counted),
    rounds: context.rounds.length,
    isUnevaluated: context.rounds.at(-1)?.evaluated === null,
    attempts: context.attempts,
    missedInRow: context.missedInRow,
    lastAbandoned: context.lastAbandoned,
  };
}

/** The round that is open or closed, else the last one aggregated, else the first to come. */
const roundOfView = ({ current, rounds }: TrainingContext) => current ?? rounds.at(-1) ?? { round: 1, attempt: 1 };

/** @throws LifecycleError `training_not_found`, `stream_diverged` */
export async function loadTraining(deps: ActivityDeps, { runId }: { readonly runId: string }): Promise<TrainingView> {
  const stream = trainingStream(runId);
  const run = await foldStream(deps.commands.log, stream, 'training_not_found');
  const { folded, now } = run;
  const { round, attempt } = roundOfView(folded.context);
  const row = folded.context.current && (await deps.commands.rounds.round(roundIdOf(runId, round, attempt)));
  const step = planTraining(trainingStanding(folded, row?.counted ?? 0, now));
  const resumes = await resumesOf(deps.commands.log, run);
  const expect = { stream, version: folded.version };
  return {
    v: 1,
    stream,
    streamVersion: folded.version,
    state: folded.state,
    runId,
    round,
    attempt,
    next: stepView(step, { runId, round, attempt, resumes, context: folded.context }, expect),
  };
}

interface Where {
  readonly runId: string;
  readonly round: number;
  readonly attempt: number;
  readonly resumes: number;
  readonly context: TrainingContext;
}

function stepView(step: TrainingStep, at: Where, expect: { stream: string; version: number }): TrainingStepView {
  const { runId, round, attempt } = at;
  switch (step.kind) {
    case 'open': {
      const commandId = roundStepId(runId, step.round, step.attempt, 'open');
      return { kind: 'open', submit: { commandId, expect, command: { kind: 'openRound', runId } } };
    }
    case 'close': {
      const command = { kind: 'closeRound' as const, runId, round, attempt, cause: 'deadline' as const };
      return { kind: 'close', submit: { commandId: roundStepId(runId, round, attempt, 'close'), expect, command } };
    }
    case 'abandon': {
      const command = { kind: 'abandonRound' as const, runId, round, attempt, reason: step.reason };
      return { kind: 'abandon', submit: { commandId: roundStepId(runId, round, attempt, 'abandon'), expect, command } };
    }
    case 'pause': {
      const { rounds, attempts } = at.context;
      const commandId = pauseRunId(runId, rounds.length + 1, attempts, at.resumes);
      const command = { kind: 'pauseTraining' as const, runId, reason: step.reason, by: 'system' };
      return { kind: 'pause', submit: { commandId, expect, command } };
    }
    case 'finish':
      return {
        kind: 'finish',
        submit: { commandId: finishRunId(runId), expect, command: { kind: 'finishTraining', runId } },
      };
    default:
      return step;
  }
}
