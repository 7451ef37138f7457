/** Figures of a round's aggregate on held-out data. */
import type { ModelId } from '../domain/brands.ts';
import { Context } from '@temporalio/activity';
import { pauseRunId, roundStepId } from '../domain/events/commandIds.ts';
import { modelStream, trainingStream } from '../domain/events/streams.ts';
import { LifecycleError } from '../domain/errors.ts';
import { printable } from '../domain/hash/soundJson.ts';
import { cutText } from '../domain/text.ts';
import type { Computed } from './contract.ts';
import type { ActivityDeps } from './deps.ts';
import { foldStream } from './foldStream.ts';
import { resumesOf } from './resumes.ts';
import { beating } from './heartbeats.ts';
import { evaluate, type Evaluation } from './training/work.ts';

interface Round {
  readonly runId: string;
  readonly round: number;
  readonly attempt: number;
}

/** How the reason of a pause begins that says why a round has no figures. */
const EVALUATION_FAILED = 'evaluation_failed';

/**
 * A fault that no retry mends (the set does not fit, the model has no graph, its process dies twice) becomes the command that pauses
 * the run; a runtime that does not load is tried again. Planned for an active run only: a paused one could not say why it failed.
 *
 * @throws LifecycleError `training_not_found`, `stream_diverged`, `conversion_unavailable` (retry); CancelledFailure
 */
export async function evaluateRound(deps: ActivityDeps, { runId, round, attempt }: Round): Promise<Computed> {
  const stream = trainingStream(runId);
  const run = await foldStream(deps.commands.log, stream, 'training_not_found');
  const { spec, rounds } = run.folded.context;
  const last = rounds.at(-1);
  const isLast = last?.round === round && last.attempt === attempt && last.evaluated === null;
  if (!spec?.evaluation || !last || !isLast) return { submit: null };

  const expect = { stream, version: run.folded.version };
  try {
    const figures = await figuresOf(deps, spec.model_id, last.aggregated.model_sha, spec.evaluation.set);
    const data = { round, attempt, source: 'held_out' as const, set_sha: spec.evaluation.set, ...figures };
    const command = { kind: 'recordEvaluation' as const, runId, data };
    return { submit: { commandId: roundStepId(runId, round, attempt, 'evaluate'), expect, command } };
  } catch (error) {
    if (!(error instanceof LifecycleError) || error.row.retryable) throw error;
    const reason = cutText(printable(`${EVALUATION_FAILED}: ${error.code}: ${error.message}`), 1_000);
    const command = { kind: 'pauseTraining' as const, runId, reason, by: 'system' };
    const resumes = await resumesOf(deps.commands.log, run);
    return { submit: { commandId: pauseRunId(runId, round, attempt, resumes), expect, command } };
  }
}

async function figuresOf(deps: ActivityDeps, modelId: ModelId, modelSha: string, setSha: string): Promise<Evaluation> {
  const model = await foldStream(deps.commands.log, modelStream(modelId), 'model_not_found');
  const { architecture } = model.folded.context;
  if (!architecture) throw new LifecycleError('graph_required', `Model ${modelId} declares no architecture.`);
  const { cancellationSignal: signal } = Context.current();
  const { blobs } = deps.commands;
  let done = 0;
  const work = { blobs, runtime: deps.runtime, modelSha, architecture, setSha, signal };
  return beating(
    () => evaluate({ ...work, beat: (n) => (done = n) }),
    () => ({ done }),
  );
}
