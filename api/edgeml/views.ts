/** Models, versions and rollouts in the words that existing SDKs read (docs/design/http.md "Words for existing SDKs"). */
import type { ModelId, Semver } from '../../domain/brands.ts';
import type { ArtifactFile, TrainingCompletedData } from '../../domain/events/version.ts';
import type { LifecycleState, RolloutStateName, VersionStateName } from '../../domain/states.ts';
import type { Existing } from '../../machines/fold.ts';
import { firstOf, formatsFor } from '../../domain/formats/fileFormats.ts';
import type { ModelState } from '../../machines/model.ts';
import { lifecycleState, type VersionState } from '../../machines/modelVersion.ts';
import type { RolloutState } from '../../machines/rollout.ts';
import type { ModelNow } from '../../projections/readModels.ts';
import type { VersionRow } from '../../projections/versions/schema.ts';
import type { SdkModel, SdkRollout, SdkVersion } from './schemas.ts';
import { seconds } from '../instant.ts';
import { percentNow, rolloutStatus } from '../rolloutStatus.ts';

/** Members that a model's row and its fold both have. */
export interface ShownModel {
  readonly id: string;
  readonly orgId: string;
  readonly name: string;
  readonly framework: string;
  readonly useCase: string;
  readonly description: string;
  readonly contract: Readonly<Record<string, unknown>> | null;
  readonly stable: Semver | null;
  readonly latest: string | null;
  readonly versionCount: number;
  /** Of the newest version; `Draft` while there is none. */
  readonly lifecycle: LifecycleState;
  readonly createdAt: number | string;
  readonly updatedAt: number | string;
}

/** Lifecycle state of a model that has no version. */
export const NO_VERSION: LifecycleState = 'Draft';

export const modelOfRow = (row: ModelNow): ShownModel => ({
  id: row.model_id,
  orgId: row.org_id,
  name: row.name,
  framework: row.framework,
  useCase: row.use_case,
  description: row.description,
  contract: row.contract,
  stable: row.stable_version,
  latest: row.latest_version,
  versionCount: row.version_count,
  lifecycle: row.lifecycle ?? NO_VERSION,
  createdAt: row.created_at,
  updatedAt: row.updated_at,
});

export const modelOfState = (
  id: string,
  { context }: ModelState,
  of: { readonly latest: string | null; readonly lifecycle: LifecycleState },
): ShownModel => ({
  id,
  orgId: context.orgId,
  name: context.name,
  framework: context.framework,
  useCase: context.useCase,
  description: context.description,
  contract: context.contract,
  stable: context.stable,
  latest: of.latest,
  versionCount: context.listed.length,
  lifecycle: of.lifecycle,
  createdAt: context.createdAt,
  updatedAt: context.updatedAt,
});

/** Optional members are left out, never null: some parsers refuse one. */
export const sdkModel = (model: ShownModel): SdkModel => ({
  id: model.id,
  org_id: model.orgId,
  name: model.name,
  framework: model.framework,
  use_case: model.useCase,
  description: model.description,
  version_count: model.versionCount,
  created_at: seconds(model.createdAt),
  updated_at: seconds(model.updatedAt),
  lifecycle_state: model.lifecycle,
  ...(model.latest === null ? {} : { latest_version: model.latest }),
  ...(model.stable === null ? {} : { stable_version: model.stable }),
  ...(model.contract === null ? {} : { model_contract: { ...model.contract } }),
});

/** The SDKs' word: they know nothing between a draft and a published version. */
const SDK_STATUS: Readonly<Record<LifecycleState, SdkVersion['status']>> = {
  Draft: 'draft',
  Training: 'draft',
  Trained: 'draft',
  Published: 'published',
  Deployed: 'published',
  Rollback: 'rolled_back',
};

/** What a download without a format gives, best first: tensors, then a graph. */
const PREFERRED = formatsFor(true);

/** Members that a version's row and its fold both have. */
export interface ShownVersion {
  readonly modelId: ModelId;
  readonly version: Semver;
  readonly state: VersionStateName;
  readonly parent: string | null;
  readonly training: TrainingCompletedData | null;
  /** Published ones; before that the uploaded ones. */
  readonly files: readonly ArtifactFile[];
  readonly createdAt: number | string;
  readonly updatedAt: number | string;
  readonly publishedAt: number | string | null;
}

export const versionOfRow = (row: VersionRow): ShownVersion => ({
  modelId: row.model_id,
  version: row.version,
  state: row.state,
  parent: row.parent,
  training: row.training,
  files: row.files,
  createdAt: row.created_at,
  updatedAt: row.updated_at,
  publishedAt: row.published_at,
});

export const versionOfState = ({ state, context }: Existing<VersionState>): ShownVersion => ({
  modelId: context.modelId,
  version: context.version,
  state,
  parent: context.parent,
  training: context.training,
  files: context.published?.files ?? context.uploaded,
  createdAt: context.createdAt,
  updatedAt: context.updatedAt,
  publishedAt: context.published?.at ?? null,
});

export function sdkVersion(shown: ShownVersion): SdkVersion {
  const { files, training } = shown;
  const lifecycle = lifecycleState(shown.state);
  const main = firstOf(files, PREFERRED) ?? files[0];
  return {
    id: `${shown.modelId}@${shown.version}`,
    model_id: shown.modelId,
    version: shown.version,
    status: SDK_STATUS[lifecycle],
    lifecycle_state: lifecycle,
    format: main?.format ?? '',
    formats: Object.fromEntries(
      files.map((f) => [f.format, { status: 'available', checksum: f.sha256, size_bytes: f.bytes }]),
    ),
    storage_path: main ? `blobs/${main.sha256}` : '',
    checksum: main?.sha256 ?? '',
    checksums: Object.fromEntries(files.map((f) => [f.format, f.sha256])),
    size_bytes: main?.bytes ?? 0,
    file_size: main?.bytes ?? 0,
    description: '',
    metrics: training ? figures(training) : {},
    ...(shown.parent === null ? {} : { parent_version: shown.parent }),
    ...(training
      ? {
          training: {
            rounds: training.rounds,
            participants: training.participants,
            samples: training.samples,
            ...figures(training),
          },
        }
      : {}),
    created_at: seconds(shown.createdAt),
    updated_at: seconds(shown.updatedAt),
    ...(shown.publishedAt === null ? {} : { published_at: seconds(shown.publishedAt) }),
  };
}

const figures = ({ loss, accuracy }: { loss: number | null; accuracy: number | null }) => ({
  ...(loss === null ? {} : { loss }),
  ...(accuracy === null ? {} : { accuracy }),
});

/** Held is the server's business; the SDKs know it as active. */
export function sdkRolloutStatus(state: RolloutStateName) {
  const status = rolloutStatus(state);
  return status === 'held' ? 'active' : status;
}

/** `status_filter` words of SDKs: synonyms count. */
const SYNONYMS: Readonly<Record<string, string>> = {
  created: 'pending',
  started: 'active',
  in_progress: 'active',
  running: 'active',
  rolling_back: 'rolled_back',
};
export const isStatus = (state: RolloutStateName, filter: string) =>
  sdkRolloutStatus(state) === (SYNONYMS[filter] ?? filter);

export function sdkRollout(
  id: number,
  folded: Existing<RolloutState>,
  of: { readonly at: number; readonly totalDevices: number },
): SdkRollout {
  const { context, state } = folded;
  const stages = context.spec?.stages ?? [];
  const percents = stages.map((s) => s.percent);
  const now = percentNow(folded, of.at);
  const [first = 0, second] = percents;
  return {
    id,
    model_id: context.modelId,
    version: context.version,
    ...(context.previous === null ? {} : { previous_version: context.previous }),
    status: sdkRolloutStatus(state),
    lifecycle_state: state,
    rollout_percentage: now,
    percentage: now,
    initial_percentage: first,
    target_percentage: percents.at(-1) ?? first,
    increment_step: second === undefined ? first : Math.round((second - first) * 100) / 100,
    created_at: seconds(context.createdAt),
    updated_at: seconds(context.updatedAt),
    ...(context.startedAt === null ? {} : { started_at: seconds(context.startedAt) }),
    ...(context.completedAt === null ? {} : { completed_at: seconds(context.completedAt) }),
    affected_devices: Math.round((now / 100) * of.totalDevices),
    total_devices: of.totalDevices,
  };
}

/** A deploy that was a way back: the rollout that was rolled back, seen from the version devices return to. */
export function sdkRollback(
  id: number,
  folded: Existing<RolloutState>,
  of: { at: number; totalDevices: number },
): SdkRollout {
  const { previous_version: _previous, ...shown } = sdkRollout(id, folded, of);
  const { rolledBack, version } = folded.context;
  return {
    ...shown,
    version: rolledBack?.target ?? version,
    previous_version: version,
    kind: 'rollback',
    // Devices are on their way; the five steps end with the post-mortem.
    status: folded.context.rootCauses.length > 0 ? 'rolled_back' : 'rolling_back',
    rollout_percentage: 100,
    percentage: 100,
    initial_percentage: 100,
    target_percentage: 100,
    increment_step: 100,
  };
}
