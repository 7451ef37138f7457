/** A version as the Lifecycle API shows it. */
import type { Existing } from '../../../machines/fold.ts';
import { lifecycleState, type VersionState } from '../../../machines/modelVersion.ts';
import type { TrainingCompletedData } from '../../../domain/events/version.ts';
import type { LineageNode as LineageRow } from '../../../projections/versions/lineage.ts';
import type { VersionRow } from '../../../projections/versions/schema.ts';
import type { LineageNode } from '../../../wire/model.ts';
import type { Version, VersionSummary } from '../../../wire/version.ts';
import { instant } from '../../instant.ts';
import { rolloutStatus } from '../../rolloutStatus.ts';

function publicationOf({ state, context }: VersionState): Version['publication'] {
  if (context.publications === 0) return null;
  const n = context.publications;
  if (state === 'Trained.publishing') return { n, state: 'running' };
  if (context.published) return { n, state: 'published' };
  const { code, reason } = context.lastRefusal ?? { code: undefined, reason: null };
  return { n, state: 'refused', ...(code === undefined ? {} : { code }), ...(reason === null ? {} : { reason }) };
}

export function versionView(folded: Existing<VersionState>): Version {
  const { context, state } = folded;
  const { training, rolledBack } = context;
  return {
    model_id: context.modelId,
    version: context.version,
    lifecycle_state: lifecycleState(state),
    state,
    parent: context.parent,
    files: [...(context.published?.files ?? context.uploaded)],
    training: trainingOf(training),
    tensors_sha: context.tensorsSha,
    report_sha: context.published?.reportSha ?? null,
    rollout_id: context.rolloutId,
    basis: context.basis,
    rolled_back: rolledBack && {
      rollout_id: rolledBack.rolloutId,
      reason: rolledBack.reason,
      at: instant(rolledBack.at),
    },
    publication: publicationOf(folded),
    created_at: instant(context.createdAt),
    updated_at: instant(context.updatedAt),
    stream_version: folded.version,
  };
}

const trainingOf = (training: TrainingCompletedData | null): Version['training'] =>
  training && {
    run_id: training.run_id,
    rounds: training.rounds,
    participants: training.participants,
    samples: training.samples,
    loss: training.loss,
    accuracy: training.accuracy,
  };

/** A row of the read model. */
export const summaryView = (row: VersionRow): VersionSummary => ({
  model_id: row.model_id,
  version: row.version,
  lifecycle_state: lifecycleState(row.state),
  state: row.state,
  parent: row.parent,
  training: trainingOf(row.training),
  files: [...row.files],
  created_at: row.created_at,
  updated_at: row.updated_at,
});

/** Where a version came from, and the rollouts that carried it. */
export const lineageNodeView = ({ version: row, rollouts }: LineageRow): LineageNode => ({
  version: row.version,
  lifecycle_state: row.lifecycle_state,
  parent: row.parent,
  base: row.training?.base.version ?? null,
  run_id: row.training?.run_id ?? row.run_id,
  rounds: row.training?.rounds ?? null,
  participants: row.training?.participants ?? null,
  samples: row.training?.samples ?? null,
  loss: row.training?.loss ?? null,
  accuracy: row.training?.accuracy ?? null,
  rollouts: rollouts.map((r) => ({ id: r.id, status: rolloutStatus(r.state) })),
});
