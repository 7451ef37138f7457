/** Models, and their lineage. */
import Type, { type Static } from 'typebox';
import { Architecture } from '../domain/events/model.ts';
import {
  closed,
  commanded,
  Count,
  Instant,
  JsonObject,
  Line,
  Name,
  Nullable,
  pageOf,
  Text,
  Uuid,
  Warnings,
} from './common.ts';
import { RolloutStatus } from './rollout.ts';
import { LifecycleState } from './version.ts';

export const Model = Type.Object(
  {
    id: Uuid,
    org_id: Type.String(),
    name: Type.String(),
    framework: Type.String(),
    use_case: Type.String(),
    description: Type.String(),
    contract: Nullable(JsonObject),
    architecture: Nullable(Architecture),
    stable_version: Nullable(Type.String()),
    /** Highest good version by precedence: published, no pre-release, not rolled back. */
    latest_version: Nullable(Type.String()),
    /** Published versions, in the order of their publication. */
    versions: Type.Array(Type.String()),
    state: Type.Literal('Registered'),
    created_at: Instant,
    updated_at: Instant,
    stream_version: Count,
  },
  closed,
);
export type Model = Static<typeof Model>;

/** A row of the catalogue: what the read model keeps of a model. */
export const ModelSummary = Type.Object(
  {
    id: Uuid,
    org_id: Type.String(),
    name: Type.String(),
    framework: Type.String(),
    use_case: Type.String(),
    description: Type.String(),
    stable_version: Nullable(Type.String()),
    latest_version: Nullable(Type.String()),
    version_count: Count,
    created_at: Instant,
    updated_at: Instant,
  },
  closed,
);
export type ModelSummary = Static<typeof ModelSummary>;

export const ModelPage = pageOf(ModelSummary);
export type ModelPage = Static<typeof ModelPage>;

export const RegisterModel = Type.Object(
  {
    name: Name,
    framework: Line(100, 1),
    use_case: Line(200),
    description: Type.Optional(Text(4_000)),
    contract: Type.Optional(JsonObject),
    architecture: Type.Optional(Architecture),
  },
  closed,
);
export type RegisterModel = Static<typeof RegisterModel>;

/** `warnings`: what of the name was changed before it was stored. */
export const ModelRegistered = Type.Object({ ...commanded(Model).properties, warnings: Warnings }, closed);
export type ModelRegistered = Static<typeof ModelRegistered>;

const LineageNode = Type.Object(
  {
    version: Type.String(),
    lifecycle_state: LifecycleState,
    parent: Nullable(Type.String()),
    /** The version it was trained from; null: first weights, or not trained here. */
    base: Nullable(Type.String()),
    run_id: Nullable(Type.String()),
    rounds: Nullable(Count),
    participants: Nullable(Count),
    samples: Nullable(Count),
    loss: Nullable(Type.Number()),
    accuracy: Nullable(Type.Number()),
    /** The newest hundred, oldest first. */
    rollouts: Type.Array(Type.Object({ id: Type.Integer(), status: RolloutStatus }, closed)),
  },
  closed,
);
export type LineageNode = Static<typeof LineageNode>;

export const Lineage = Type.Object(
  {
    model_id: Uuid,
    name: Type.String(),
    /** Highest precedence first. */
    nodes: Type.Array(LineageNode),
    next_cursor: Nullable(Type.String()),
    position: Type.Integer({ minimum: -1 }),
  },
  closed,
);
export type Lineage = Static<typeof Lineage>;
