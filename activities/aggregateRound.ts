/** Sums the accepted updates of a closed round. Temporal carries hashes and counts, never tensors. */
import { Context } from '@temporalio/activity';
import { roundStepId } from '../domain/events/commandIds.ts';
import { trainingStream } from '../domain/events/streams.ts';
import { isRefusal } from '../domain/refusal.ts';
import { exists } from '../machines/fold.ts';
import { currentBase, roundState } from '../machines/trainingRun.ts';
import { roundIdOf } from '../store/rounds/roundRow.ts';
import type { Computed } from './contract.ts';
import type { ActivityDeps } from './deps.ts';
import { foldStream } from './foldStream.ts';
import { beating } from './heartbeats.ts';
import { aggregateUpdates as aggregate } from './training/work.ts';

interface Round {
  readonly runId: string;
  readonly round: number;
  readonly attempt: number;
}

/**
 * A retry begins at zero and gives the same hash. A set that is not the frozen one, or an aggregate that is not finite, becomes
 * the command that abandons the round.
 *
 * @throws LifecycleError `training_not_found`, `stream_diverged`, `blob_unknown`; CancelledFailure
 */
export async function aggregateRound(deps: ActivityDeps, { runId, round, attempt }: Round): Promise<Computed> {
  const { log, rounds, blobs } = deps.commands;
  const stream = trainingStream(runId);
  const { folded } = await foldStream(log, stream, 'training_not_found');
  const { spec, current, currentClosed: closed } = folded.context;
  const isCurrent =
    current?.round === round && current.attempt === attempt && exists(folded) && roundState(folded.state) === 'closed';
  if (!spec || !closed || !isCurrent) return { submit: null };

  const updates = await rounds.accepted(roundIdOf(runId, round, attempt));
  const { cancellationSignal: signal } = Context.current();
  let done = 0;
  const result = await beating(
    () =>
      aggregate({
        blobs,
        baseSha: currentBase(folded.context),
        updates,
        spec,
        acceptedRoot: closed.accepted_root,
        beat: (n) => (done = n),
        signal,
      }),
    () => ({ done }),
  );
  const expect = { stream, version: folded.version };
  if (isRefusal(result)) {
    deps.logger.error({ runId, round, attempt, why: result.detail }, 'a round cannot be aggregated');
    const command = { kind: 'abandonRound' as const, runId, round, attempt, reason: result.code };
    return { submit: { commandId: roundStepId(runId, round, attempt, 'abandon'), expect, command } };
  }
  const data = {
    round,
    attempt,
    manifest_sha: result.manifestSha,
    model_sha: result.modelSha,
    model_bytes: result.modelBytes,
    opt_state_sha: null,
    grid: result.grid,
    update_norm: result.updateNorm,
    samples: result.samples,
    metrics: result.metrics,
  };
  const command = { kind: 'recordAggregate' as const, runId, data };
  return { submit: { commandId: roundStepId(runId, round, attempt, 'aggregate'), expect, command } };
}
