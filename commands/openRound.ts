/** The next round of a run begins to collect updates. */
import { durationMs } from '../domain/duration.ts';
import { LifecycleError } from '../domain/errors.ts';
import type { RoundOpenedData, TrainingSpec } from '../domain/events/training.ts';
import { trainingStream } from '../domain/events/streams.ts';
import { openingTerms } from '../domain/learning/admission.ts';
import { leasesNeeded } from '../domain/learning/leases.ts';
import { roomOf } from '../domain/learning/requestSums.ts';
import type { OrgId } from '../domain/org.ts';
import { isPrerelease } from '../domain/semver.ts';
import { currentBase, type TrainingContext } from '../machines/trainingRun.ts';
import { decideTraining } from '../machines/trainingDecision.ts';
import { roundIdOf, type NewRound } from '../store/rounds/roundRow.ts';
import type { Caller, CommandDeps, Outcome } from './context.ts';
import { execute, joinDecisions } from './execute.ts';
import { requireRun } from './existing.ts';

/** RoundOpened, with the round's row in the same transaction. Deadlines are absolute, on the store's clock. */
export async function openRound(
  deps: CommandDeps,
  caller: Caller,
  { runId }: { readonly runId: string },
): Promise<Outcome> {
  return execute(deps, caller, async (streams) => {
    const run = await requireRun(streams, runId);
    const { spec } = run.context;
    if (!spec) throw new Error(`run ${runId} has no spec`); // TrainingRequested is the first fact of every run
    const now = streams.now();
    const data = openingData(run.context, spec, now);
    const decision = decideTraining(run, { type: 'openRound', data }, now.getTime());
    const orgId = await deps.owners.ownerOf(spec.model_id);
    if (orgId === undefined) throw new LifecycleError('model_not_found', `There is no model ${spec.model_id}.`);
    const row = rowOf(runId, orgId, spec, data);
    return joinDecisions([{ stream: trainingStream(runId), decision }], (tx) => deps.rounds.open(tx, row));
  });
}

function openingData(context: TrainingContext, spec: TrainingSpec, now: Date): RoundOpenedData {
  const deadline = now.getTime() + durationMs(spec.windows.report);
  const { maxNorm, limit } = openingTerms(spec);
  return {
    round: context.rounds.length + 1,
    attempt: context.attempts + 1,
    base_sha: currentBase(context),
    base_label: baseLabel(spec, context.rounds.length),
    opt_state_sha: null,
    goal: spec.goal,
    min_updates: spec.min_updates,
    need: leasesNeeded(spec.goal ?? spec.min_updates, spec.selection.dropout),
    // Selection is open: everyone is drawn, and nobody counts arrivals.
    draw: { threshold: 2 ** 32, population: 0 },
    opened_at: now.toISOString(),
    deadline: new Date(deadline).toISOString(),
    hard_deadline: new Date(deadline + durationMs(spec.windows.extend)).toISOString(),
    max_norm: maxNorm,
    limit,
  };
}

/** The version string devices see: the base's own before the first aggregate, then the checkpoint's. */
function baseLabel(spec: TrainingSpec, aggregated: number): string {
  if (aggregated === 0 && spec.base_version !== null) return spec.base_version;
  return `${spec.new_version}${isPrerelease(spec.new_version) ? '.' : '-'}round.${aggregated}`;
}

const rowOf = (runId: string, orgId: OrgId, spec: TrainingSpec, data: RoundOpenedData): NewRound => ({
  roundId: roundIdOf(runId, data.round, data.attempt),
  runId,
  orgId,
  modelId: spec.model_id,
  round: data.round,
  attempt: data.attempt,
  baseSha: data.base_sha,
  baseLabel: data.base_label,
  goal: data.goal,
  minUpdates: data.min_updates,
  room: roomOf(data),
  maxNorm: data.max_norm,
  gridLimit: data.limit,
  plan: {
    client: spec.client,
    seed: spec.seed,
    admission: spec.admission,
    aggregation: spec.aggregation,
    metrics: spec.metrics,
  },
  openedAt: data.opened_at,
  deadline: data.deadline,
  hardDeadline: data.hard_deadline,
});
