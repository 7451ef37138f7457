/** What workflows may ask for, as plain data: it crosses Temporal, so it is versioned by its members alone. */
import { abandonRound, type AbandonRound } from './abandonRound.ts';
import { LifecycleError } from '../domain/errors.ts';
import { abortTraining } from './abortTraining.ts';
import { closeRound, type CloseRound } from './closeRound.ts';
import { completeRollout, type Completion } from './completeRollout.ts';
import type { Caller, CommandDeps, Outcome } from './context.ts';
import { enterStage } from './enterStage.ts';
import { finishTraining } from './finishTraining.ts';
import { judgeRollout, type JudgeRollout } from './judgeRollout.ts';
import { openRound } from './openRound.ts';
import { pauseRollout, type PauseRollout } from './pauseRollout.ts';
import { pauseTraining, type PauseTraining } from './pauseTraining.ts';
import { recordAggregate, type RecordAggregate } from './recordAggregate.ts';
import { recordEvaluation, type RecordEvaluation } from './recordEvaluation.ts';
import { recordPublished, type RecordPublished } from './recordPublished.ts';
import { refusePublish, type RefusePublish } from './refusePublish.ts';

type Run = { readonly runId: string };
type Rollout = { readonly rolloutId: number };
type Kind<K extends string, I> = { readonly kind: K } & I;

export type WorkflowCommand =
  | Kind<'openRound', Run>
  | Kind<'closeRound', CloseRound>
  | Kind<'recordAggregate', RecordAggregate>
  | Kind<'recordEvaluation', RecordEvaluation>
  | Kind<'abandonRound', AbandonRound>
  | Kind<'pauseTraining', PauseTraining>
  | Kind<'finishTraining', Run>
  | Kind<'abortTraining', Run & { readonly reason: string }>
  | Kind<'recordPublished', RecordPublished>
  | Kind<'refusePublish', RefusePublish>
  | Kind<'enterStage', Rollout & { readonly stage: number }>
  | Kind<'judgeRollout', JudgeRollout>
  | Kind<'completeRollout', Rollout & Completion>
  | Kind<'pauseRollout', PauseRollout>;

/**
 * The one entry of workflows into the log. Idempotent by `caller.commandId`.
 *
 * @throws LifecycleError for a command that names what does not exist, or a kind this build does not know
 */
export async function submit(deps: CommandDeps, caller: Caller, command: WorkflowCommand): Promise<Outcome> {
  switch (command.kind) {
    case 'openRound':
      return openRound(deps, caller, command);
    case 'closeRound':
      return closeRound(deps, caller, command);
    case 'recordAggregate':
      return recordAggregate(deps, caller, command);
    case 'recordEvaluation':
      return recordEvaluation(deps, caller, command);
    case 'abandonRound':
      return abandonRound(deps, caller, command);
    case 'pauseTraining':
      return pauseTraining(deps, caller, command);
    case 'finishTraining':
      return finishTraining(deps, caller, command);
    case 'abortTraining':
      return abortTraining(deps, caller, command);
    case 'recordPublished':
      return recordPublished(deps, caller, command);
    case 'refusePublish':
      return refusePublish(deps, caller, command);
    case 'enterStage':
      return enterStage(deps, caller, command);
    case 'judgeRollout':
      return judgeRollout(deps, caller, command);
    case 'completeRollout':
      return completeRollout(deps, caller, command);
    case 'pauseRollout':
      return pauseRollout(deps, caller, command);
    default:
      return unknownKind(command);
  }
}

/** A workflow of a newer build may ask for more than this worker knows. */
function unknownKind(command: never): never {
  // Tried again: a newer worker may take it, while the versions are mixed.
  throw new LifecycleError('unavailable', `This build knows no workflow command ${JSON.stringify(command)}.`);
}
