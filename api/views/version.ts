/** A version as the own door shows it. */
import { isUsable, lifecycleState, type VersionState } from '../../machines/modelVersion.ts';
import type { LifecycleState, Version } from '../schemas/version.ts';
import { instant } from './instant.ts';

/** The state's first part. A version that exists has left `None`, and the chart has no other names. */
export const lifecycleWord = (state: string) => lifecycleState(state) as LifecycleState;

function publicationOf({ state, context }: VersionState): Version['publication'] {
  if (context.publications === 0) return null;
  const n = context.publications;
  if (state === 'Trained.publishing') return { n, state: 'running' };
  if (context.published) return { n, state: 'published' };
  return { n, state: 'refused', ...(context.lastRefusal ? { code: context.lastRefusal.code } : {}) };
}

export function versionView(folded: VersionState): Version {
  const { context, state } = folded;
  const { training, rolledBack } = context;
  return {
    model_id: context.modelId,
    version: context.version,
    lifecycle_state: lifecycleWord(state),
    state,
    parent: context.parent,
    files: [...(context.published?.files ?? context.uploaded)],
    training: training && {
      run_id: training.run_id,
      rounds: training.rounds,
      participants: training.participants,
      samples: training.samples,
      loss: training.loss,
      accuracy: training.accuracy,
    },
    tensors_sha: context.tensorsSha,
    report_sha: context.published?.reportSha ?? null,
    rollout_id: context.rolloutId,
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

/** Devices may be told it: Published or Deployed. */
export const isGood = (folded: VersionState) => isUsable(folded.state);
