/** What stopping and aborting a run share: the open round is abandoned with its row, and a run without result fails its version. */
import { trainingStream, versionStream } from '../domain/events/streams.ts';
import { decideVersion } from '../machines/versionDecision.ts';
import { decideTraining, type TrainingCommand } from '../machines/trainingDecision.ts';
import type { Queryable } from '../store/queryable.ts';
import { roundIdOf } from '../store/rounds/roundRow.ts';
import type { Caller, CommandDeps, Outcome } from './context.ts';
import { executeUnder, joinDecisions, type Conclusion, type Streams } from './execute.ts';
import { requireRun } from './existing.ts';

/**
 * Under the run's lock: an upload is either accepted before the round is abandoned, or told that it is closed.
 *
 * @param commandOf the command, given the updates that count in the open round
 * @throws LifecycleError `training_not_found`
 */
export function endTraining(
  deps: CommandDeps,
  caller: Caller,
  runId: string,
  commandOf: (counted: number) => TrainingCommand,
): Promise<Outcome> {
  return executeUnder(
    deps,
    caller,
    (tx) => deps.rounds.lockRun(tx, runId),
    (streams, tx) => conclude(deps, streams, tx, runId, commandOf),
  );
}

async function conclude(
  deps: CommandDeps,
  streams: Streams,
  tx: Queryable,
  runId: string,
  commandOf: (counted: number) => TrainingCommand,
): Promise<Conclusion> {
  const run = await requireRun(streams, runId);
  const { current, spec } = run.context;
  const now = streams.now().getTime();
  const roundId = current && roundIdOf(runId, current.round, current.attempt);
  const row = roundId ? await deps.rounds.round(roundId, tx) : undefined;
  const ended = decideTraining(run, commandOf(row?.counted ?? 0), now);
  const parts = [{ stream: trainingStream(runId), decision: ended }];
  const aborted = ended.kind === 'facts' ? ended.facts.find((f) => f.type === 'TrainingAborted') : undefined;
  if (!aborted || !spec) return joinDecisions(parts, abandonRow(deps, roundId, 'stopped'));

  const stream = versionStream(spec.model_id, spec.new_version);
  const version = await streams.version(spec.model_id, spec.new_version);
  const failed = decideVersion(
    version,
    { type: 'failTraining', data: { run_id: runId, reason: aborted.data.reason } },
    now,
  );
  return joinDecisions([...parts, { stream, decision: failed }], abandonRow(deps, roundId, 'aborted'));
}

const abandonRow = (deps: CommandDeps, roundId: string | null, cause: string) =>
  roundId === null ? undefined : (tx: Queryable) => deps.rounds.end(tx, roundId, 'abandoned', cause);
