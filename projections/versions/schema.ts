/** Tables of `versions`: one row per version, with all that lineage shows. */
import type { ArtifactFile, TrainingCompletedData } from '../../domain/events/version.ts';
import { historyTable } from '../table.ts';

export interface VersionRow {
  org_id: string;
  model_id: string;
  version: string;
  /** As the version's machine names it: `Trained.ready`. */
  state: string;
  /** The product's word: the first part of `state`. */
  lifecycle_state: string;
  parent: string | null;
  contract_digest: string | null;
  run_id: string | null;
  training: TrainingCompletedData | null;
  /** Published files; before that the uploaded ones. */
  files: readonly ArtifactFile[];
  tensors_sha: string | null;
  report_sha: string | null;
  rollout_id: number | null;
  rolled_back: { readonly rollout_id: number; readonly reason: string; readonly at: string } | null;
  publication: {
    readonly n: number;
    readonly state: 'running' | 'published' | 'refused';
    readonly code?: string;
  } | null;
  requested_formats: readonly string[];
  published_at: string | null;
  created_at: string;
  updated_at: string;
  stream_version: number;
}

export const versionRows = historyTable<VersionRow>('versions', {
  key: ['model_id', 'version'],
  columns: {
    org_id: 'text',
    model_id: 'text',
    version: 'text',
    state: 'text',
    lifecycle_state: 'text',
    parent: 'text',
    contract_digest: 'text',
    run_id: 'text',
    training: 'jsonb',
    files: 'jsonb',
    tensors_sha: 'text',
    report_sha: 'text',
    rollout_id: 'bigint',
    rolled_back: 'jsonb',
    publication: 'jsonb',
    requested_formats: 'jsonb',
    published_at: 'text',
    created_at: 'text',
    updated_at: 'text',
    stream_version: 'bigint',
  },
});
