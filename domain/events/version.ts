/** Pure. Facts of stream `version-<model id>@<semver>`: one version's way from Draft to Deployed, or to Rollback. */
import Type, { type Static } from 'typebox';
import { HealthBasis } from './rollout.ts';
import { Count, Counts, fact, ModelIdText, Nullable, SemverText, Sha256Text, type FactOf } from './fact.ts';

export const ArtifactFile = Type.Object(
  { format: Type.String(), sha256: Sha256Text, bytes: Count, media_type: Type.String() },
  { additionalProperties: false },
);
export type ArtifactFile = Static<typeof ArtifactFile>;

const RolloutId = Type.Integer({ minimum: 1 });
const MaybeFigures = Type.Object({ loss: Nullable(Type.Number()), accuracy: Nullable(Type.Number()) });

/** One check of the publishing gate: what was measured, and the limit it was held against. */
export const GateCheck = Type.Object(
  {
    step: Type.Integer({ minimum: 1, maximum: 11 }),
    name: Type.String(),
    passed: Type.Boolean(),
    detail: Type.String({ maxLength: 2000 }),
  },
  { additionalProperties: false },
);
export type GateCheck = Static<typeof GateCheck>;

export const versionFacts = {
  VersionDrafted: fact('VersionDrafted', {
    model_id: ModelIdText,
    version: SemverText,
    parent: Nullable(SemverText),
    contract_digest: Nullable(Sha256Text),
  }),
  TrainingStarted: fact('TrainingStarted', { run_id: Type.String(), base_version: Nullable(SemverText) }),
  /** The fact of docs/design/learning.md "Lineage of a trained version": all that lineage shows of a training run. */
  TrainingCompleted: fact('TrainingCompleted', {
    run_id: Type.String(),
    base: Type.Object({ version: Nullable(SemverText), sha: Sha256Text }),
    spec_sha: Sha256Text,
    rounds_planned: Count,
    rounds: Count,
    rounds_abandoned: Count,
    participants: Count,
    updates: Count,
    refused: Counts,
    samples: Count,
    bytes_up: Count,
    loss: Nullable(Type.Number()),
    accuracy: Nullable(Type.Number()),
    first: MaybeFigures,
    best_round: Nullable(Count),
    selected_round: Count,
    stop: Type.Object({ rule: Type.String(), numbers: Type.Record(Type.String(), Type.Number()) }),
    converged: Type.Null(),
    /** Up to 200 rounds whole; past that the RFC 6962 root over the canonical JSON of each entry. */
    chain: Type.Union([
      Type.Array(Type.Object({ round: Count, accepted_root: Sha256Text, model_sha: Sha256Text }), { maxItems: 200 }),
      Type.Object({ root: Sha256Text, length: Count }),
    ]),
    artifact_sha: Sha256Text,
    artifact_bytes: Count,
  }),
  TrainingFailed: fact('TrainingFailed', { run_id: Type.String(), reason: Type.String() }),
  ArtifactUploaded: fact('ArtifactUploaded', { files: Type.Array(ArtifactFile, { minItems: 1 }) }),
  PublishRequested: fact('PublishRequested', {
    n: Type.Integer({ minimum: 1 }),
    formats: Type.Array(Type.String(), { minItems: 1 }),
  }),
  PublishRefused: fact('PublishRefused', {
    n: Type.Integer({ minimum: 1 }),
    code: Type.String(),
    checks: Type.Array(GateCheck),
    /** Where no check failed: why a person ended it, or what failed in the same way each time. */
    reason: Type.Optional(Type.String()),
  }),
  VersionPublished: fact('VersionPublished', {
    n: Type.Integer({ minimum: 1 }),
    files: Type.Array(ArtifactFile, { minItems: 1 }),
    tensors_sha: Sha256Text,
    report_sha: Sha256Text,
  }),
  DeploymentStarted: fact('DeploymentStarted', { rollout_id: RolloutId }),
  DeploymentCompleted: fact('DeploymentCompleted', {
    rollout_id: RolloutId,
    /** On what it reached everyone: the weakest of its stages. Absent under fixed limits. */
    basis: Type.Optional(HealthBasis),
  }),
  /** `by` is null where an aborted first release leaves no version in its place. */
  VersionSuperseded: fact('VersionSuperseded', { by: Nullable(SemverText), rollout_id: RolloutId }),
  VersionRestored: fact('VersionRestored', { rollout_id: RolloutId }),
  VersionRolledBack: fact('VersionRolledBack', { rollout_id: RolloutId, reason: Type.String() }),
};
export type VersionFact = FactOf<typeof versionFacts>;
export type TrainingCompletedData = Extract<VersionFact, { type: 'TrainingCompleted' }>['data'];
