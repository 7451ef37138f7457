/** Pure. `versions`: the state of each version, where it came from, its files. Each fact of a version names the state after it. */
import type { ModelId, Semver } from '../../domain/brands.ts';
import { tagged } from '../../domain/events/codec.ts';
import type { SequencedEvent } from '../../domain/events/envelope.ts';
import { parseStream } from '../../domain/events/streams.ts';
import type { VersionFact } from '../../domain/events/version.ts';
import { tensorsShaOf } from '../../domain/formats/fileFormats.ts';
import type { VersionStateName } from '../../domain/states.ts';
import { precedenceKey } from '../../domain/semver.ts';
import { lifecycleState } from '../../machines/modelVersion.ts';
import { learnOrg, modelOrgs, needOrg, needsOfLearning, orgOfModel, subjectAmong } from '../modelOrgs.ts';
import { need, put, type Change, type Projection, type Rows } from '../table.ts';
import { listingOf, newestVersions, versionRows, type VersionRow } from './schema.ts';

const STATE_AFTER: Readonly<Record<VersionFact['type'], VersionStateName>> = {
  VersionDrafted: 'Draft',
  TrainingStarted: 'Training',
  TrainingCompleted: 'Trained.ready',
  TrainingFailed: 'Draft',
  ArtifactUploaded: 'Trained.ready',
  PublishRequested: 'Trained.publishing',
  PublishRefused: 'Trained.ready',
  VersionPublished: 'Published',
  DeploymentStarted: 'Deployed.rolling',
  DeploymentCompleted: 'Deployed.live',
  VersionSuperseded: 'Deployed.standby',
  VersionRestored: 'Deployed.live',
  VersionRolledBack: 'Rollback',
};

/** The members that a fact changes, apart from state, time and stream version. */
function members(row: VersionRow, fact: VersionFact, at: string): Partial<VersionRow> {
  switch (fact.type) {
    case 'VersionDrafted':
      return { parent: fact.data.parent, contract_digest: fact.data.contract_digest };
    case 'TrainingStarted':
      return { run_id: fact.data.run_id };
    case 'TrainingCompleted':
      return { training: fact.data, tensors_sha: fact.data.artifact_sha };
    case 'TrainingFailed':
      return { run_id: null };
    case 'ArtifactUploaded':
      return { files: [...row.files, ...fact.data.files], tensors_sha: tensorsShaOf(fact.data.files, row.tensors_sha) };
    case 'PublishRequested':
      return { publication: { n: fact.data.n, state: 'running' }, requested_formats: fact.data.formats };
    case 'PublishRefused':
      return { publication: { n: fact.data.n, state: 'refused', code: fact.data.code } };
    case 'VersionPublished':
      return {
        publication: { n: fact.data.n, state: 'published' },
        files: fact.data.files,
        tensors_sha: fact.data.tensors_sha,
        report_sha: fact.data.report_sha,
        published_at: at,
      };
    case 'DeploymentStarted':
    case 'DeploymentCompleted':
    case 'VersionSuperseded':
    case 'VersionRestored':
      return { rollout_id: fact.data.rollout_id };
    case 'VersionRolledBack':
      return { rolled_back: { rollout_id: fact.data.rollout_id, reason: fact.data.reason, at } };
    default:
      return fact satisfies never;
  }
}

const drafted = (orgId: string, modelId: ModelId, version: Semver, at: string): VersionRow => ({
  org_id: orgId,
  model_id: modelId,
  version,
  precedence: precedenceKey(version),
  listing: '',
  state: 'Draft',
  lifecycle_state: 'Draft',
  parent: null,
  contract_digest: null,
  run_id: null,
  training: null,
  files: [],
  tensors_sha: null,
  report_sha: null,
  rollout_id: null,
  rolled_back: null,
  publication: null,
  requested_formats: [],
  published_at: null,
  created_at: at,
  updated_at: at,
  stream_version: 0,
});

function project(event: SequencedEvent, rows: Rows): Change[] {
  const of = tagged(event);
  if (of?.kind !== 'version') return learnOrg(event);
  const { modelId, version, fact } = of;
  const before = rows.get(versionRows, modelId, version);
  if (!before && fact.type !== 'VersionDrafted') {
    throw new Error(`version ${version} of model ${modelId} was never drafted`);
  }
  const row = before ?? drafted(orgOfModel(rows, modelId), modelId, version, event.recordedAt);
  const state = STATE_AFTER[fact.type];
  const after = {
    ...row,
    ...members(row, fact, event.recordedAt),
    state,
    lifecycle_state: lifecycleState(state),
    listing: listingOf({ ...row, state }),
    updated_at: event.recordedAt,
    stream_version: event.version,
  };
  return [put(versionRows, after), ...newest(rows, after)];
}

/** The model's newest version, where this is it now, or it is now in another state. */
function newest(rows: Rows, { model_id, version, lifecycle_state, created_at }: VersionRow): Change[] {
  const before = rows.get(newestVersions, model_id);
  const isIt = !before || before.version === version || before.created_at <= created_at;
  if (!isIt || (before?.version === version && before.lifecycle_state === lifecycle_state)) return [];
  return [put(newestVersions, { model_id, version, lifecycle_state, created_at })];
}

export const versions: Projection = {
  name: 'versions',
  version: 4,
  tables: [versionRows, newestVersions, modelOrgs],
  needs(event) {
    const stream = parseStream(event.stream);
    if (stream?.kind !== 'version') return needsOfLearning(event);
    const { modelId, version } = stream;
    return [need(versionRows, modelId, version), need(newestVersions, modelId), needOrg(modelId)];
  },
  project,
  subjectOf: (about) => subjectAmong('version', about),
};
