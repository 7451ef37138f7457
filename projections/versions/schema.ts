/** Tables of `versions`: one row per version, with all that lineage shows, and one per model: its newest. */
import type { ArtifactFile, TrainingCompletedData } from '../../domain/events/version.ts';
import type { LifecycleState, VersionStateName } from '../../domain/states.ts';
import { isPrerelease } from '../../domain/semver.ts';
import { isUsable, lifecycleState } from '../../machines/modelVersion.ts';
import { historyTable } from '../table.ts';

export interface VersionRow {
  org_id: string;
  model_id: string;
  version: string;
  /** Sorts as versions do (`precedenceKey`). */
  precedence: string;
  /** Place in the list of the EdgeML API, highest first ({@link listingOf}). */
  listing: string;
  /** As the version's machine names it: `Trained.ready`. */
  state: VersionStateName;
  /** The product's word: the first part of `state`. */
  lifecycle_state: LifecycleState;
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
    precedence: 'text',
    listing: 'text',
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
  current: [
    ['model_id', 'precedence'],
    ['model_id', 'lifecycle_state', 'precedence'],
    ['model_id', 'listing'],
  ],
});

/** The version of a model that was drafted last. */
export interface NewestVersionRow {
  model_id: string;
  version: string;
  lifecycle_state: LifecycleState;
  created_at: string;
}

export const newestVersions = historyTable<NewestVersionRow>('newest_versions', {
  key: ['model_id'],
  columns: { model_id: 'text', version: 'text', lifecycle_state: 'text', created_at: 'text' },
});

/** First letters of {@link VersionRow.listing}: a status of the EdgeML API is one or two of them. */
export const LISTED = { rolledBack: '0', onTheirWay: '1', previews: '2', releases: '3' } as const;

/**
 * Good ones by precedence, pre-releases after releases; then those on their way, newest first; then the bad ones
 * (docs/design/http.md "Order of versions").
 */
export function listingOf(row: Pick<VersionRow, 'version' | 'precedence' | 'state' | 'created_at'>): string {
  const state = lifecycleState(row.state);
  if (state === 'Rollback') return LISTED.rolledBack + row.precedence;
  if (!isUsable(row.state)) return LISTED.onTheirWay + row.created_at + row.precedence;
  return (isPrerelease(row.version) ? LISTED.previews : LISTED.releases) + row.precedence;
}
