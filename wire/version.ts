/** Versions of a model. */
import Type, { type Static } from 'typebox';
import { HealthBasis } from '../domain/events/rollout.ts';
import { ArtifactFile } from '../domain/events/version.ts';
import { LIFECYCLE_STATES, VERSION_STATES } from '../domain/states.ts';
import {
  closed,
  commanded,
  Count,
  Instant,
  Line,
  Nullable,
  pageOf,
  Reason,
  Uuid,
  VersionRef,
  wordOf,
} from './common.ts';

export const LifecycleState = wordOf(LIFECYCLE_STATES);
export type LifecycleState = Static<typeof LifecycleState>;
const VersionState = wordOf(VERSION_STATES);

/** What lineage shows of the training run that made a version. */
export const VersionTraining = Type.Object(
  {
    run_id: Type.String(),
    rounds: Count,
    participants: Count,
    samples: Count,
    loss: Nullable(Type.Number()),
    accuracy: Nullable(Type.Number()),
  },
  closed,
);

export const Version = Type.Object(
  {
    model_id: Uuid,
    version: Type.String(),
    lifecycle_state: LifecycleState,
    /** Dotted, such as `Deployed.standby`. */
    state: VersionState,
    parent: Nullable(Type.String()),
    /** Published files; before that the uploaded ones. */
    files: Type.Array(ArtifactFile),
    training: Nullable(VersionTraining),
    tensors_sha: Nullable(Type.String()),
    report_sha: Nullable(Type.String()),
    rollout_id: Nullable(Type.Integer()),
    /** On what it reached everyone: proven healthy, without an alarm (quiet), or unproven; null: by fixed limits, or it did not. */
    basis: Nullable(HealthBasis),
    rolled_back: Nullable(Type.Object({ rollout_id: Type.Integer(), reason: Type.String(), at: Instant }, closed)),
    publication: Nullable(
      Type.Object(
        {
          n: Count,
          state: Type.Union([Type.Literal('running'), Type.Literal('published'), Type.Literal('refused')]),
          code: Type.Optional(Type.String()),
          /** Where no check failed. */
          reason: Type.Optional(Type.String()),
        },
        closed,
      ),
    ),
    created_at: Instant,
    updated_at: Instant,
    stream_version: Count,
  },
  closed,
);
export type Version = Static<typeof Version>;

/** A row of the read model: enough for a list; the version itself has the rest. */
export const VersionSummary = Type.Object(
  {
    model_id: Uuid,
    version: Type.String(),
    lifecycle_state: LifecycleState,
    state: VersionState,
    parent: Nullable(Type.String()),
    training: Nullable(VersionTraining),
    files: Type.Array(ArtifactFile),
    created_at: Instant,
    updated_at: Instant,
  },
  closed,
);
export type VersionSummary = Static<typeof VersionSummary>;

export const VersionPage = pageOf(VersionSummary);
export type VersionPage = Static<typeof VersionPage>;

export const DraftVersion = Type.Object({ version: VersionRef, parent: Type.Optional(VersionRef) }, closed);
export type DraftVersion = Static<typeof DraftVersion>;

export const VersionCommanded = commanded(Version);
export type VersionCommanded = Static<typeof VersionCommanded>;

/** Bytes that were made elsewhere, stored with `PUT /blobs/{sha256}` before. */
export const AttachArtifact = Type.Object(
  {
    files: Type.Array(
      Type.Object(
        {
          format: Line(40, 1),
          sha256: Type.String({ pattern: '^[0-9a-f]{64}$' }),
          media_type: Type.Optional(Line(100)),
        },
        closed,
      ),
      { minItems: 1, maxItems: 20 },
    ),
  },
  closed,
);
export type AttachArtifact = Static<typeof AttachArtifact>;

export const Publish = Type.Object({ formats: Type.Optional(Type.Array(Line(40), { maxItems: 20 })) }, closed);
export type Publish = Static<typeof Publish>;

/** Why the publication that runs is ended. */
export const CancelPublish = Type.Object({ reason: Reason }, closed);
export type CancelPublish = Static<typeof CancelPublish>;

export const RollBackModel = Type.Object(
  {
    reason: Reason,
    target_version: Type.Optional(VersionRef),
    /** The version that must go: pressed twice, it goes once. */
    from_version: Type.Optional(VersionRef),
  },
  closed,
);
export type RollBackModel = Static<typeof RollBackModel>;

export const Blob = Type.Object({ sha256: Type.String(), bytes: Count }, closed);
export type Blob = Static<typeof Blob>;
