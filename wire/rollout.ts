/** Rollouts: how far a version may reach, what was judged, and how it ended. */
import Type, { type Static } from 'typebox';
import {
  ArmCounters,
  HealthJudgement,
  PauseCause,
  RollbackTrigger,
  RolloutSpec,
  Stage,
} from '../domain/events/rollout.ts';
import { ROLLOUT_STATES } from '../domain/states.ts';
import {
  closed,
  commanded,
  Count,
  DryRun,
  Instant,
  Nullable,
  pageOf,
  Reason,
  Text,
  Uuid,
  VersionRef,
  wordOf,
} from './common.ts';

export const RolloutStatus = Type.Union([
  Type.Literal('pending'),
  Type.Literal('active'),
  Type.Literal('held'),
  Type.Literal('paused'),
  Type.Literal('completed'),
  Type.Literal('rolled_back'),
  Type.Literal('aborted'),
]);
export type RolloutStatus = Static<typeof RolloutStatus>;

export const Rollout = Type.Object(
  {
    id: Type.Integer({ minimum: 1 }),
    model_id: Uuid,
    version: Type.String(),
    previous_version: Nullable(Type.String()),
    status: RolloutStatus,
    state: wordOf(ROLLOUT_STATES),
    /** Index into `stages`; -1 before the start. */
    stage: Type.Integer({ minimum: -1 }),
    stages: Type.Array(Stage),
    /** Share of the cohort that is in at this moment: the ramp of the stage counted. */
    percent_now: Type.Number(),
    percent_target: Type.Number(),
    /** Time the stage has run while the rollout was active. */
    clock_ms: Count,
    bake_left_ms: Count,
    spec: RolloutSpec,
    seed: Nullable(Type.String()),
    judged: Nullable(HealthJudgement),
    paused: Nullable(Type.Object({ cause: PauseCause, reason: Type.String(), at: Instant }, closed)),
    rolled_back: Nullable(
      Type.Object(
        {
          target: Nullable(Type.String()),
          trigger: RollbackTrigger,
          reason: Type.String(),
          evidence: Nullable(HealthJudgement),
          at: Instant,
        },
        closed,
      ),
    ),
    aborted: Nullable(Type.Object({ reason: Type.String(), at: Instant }, closed)),
    root_causes: Type.Array(Type.Object({ text: Type.String(), at: Instant }, closed)),
    created_at: Instant,
    started_at: Nullable(Instant),
    completed_at: Nullable(Instant),
    updated_at: Instant,
    stream_version: Count,
  },
  closed,
);
export type Rollout = Static<typeof Rollout>;

/** What one stage will be able to show on this fleet. */
const PreflightStage = Type.Object(
  {
    stage: Count,
    percent: Type.Number(),
    /** Devices expected in each arm. */
    canary: Count,
    control: Count,
    /** Groups of devices that are large enough to be judged apart. */
    segments: Type.Array(Type.String()),
    /** Whether a healthy version is proven in 9 runs of 10. */
    can_prove: Type.Boolean(),
    /** By metric: the smallest multiple of control, of 1.5, 2, 3, 5, 10 and 20, that is convicted in 9 runs of 10; null: none of them. */
    convicts: Type.Record(Type.String(), Nullable(Type.Number())),
    /** The same for people. */
    says: Type.String(),
  },
  closed,
);

/** What a rollout will be able to show, from the fleet as it is now. */
export const Preflight = Type.Object(
  {
    /** Devices stay on a stable version. */
    has_control: Type.Boolean(),
    measured: Type.Array(Type.String()),
    /** What limits it as a whole. */
    notes: Type.Array(Type.String()),
    stages: Type.Array(PreflightStage),
  },
  closed,
);
export type Preflight = Static<typeof Preflight>;

export const RolloutCommanded = commanded(Rollout);
export type RolloutCommanded = Static<typeof RolloutCommanded>;

/** What creating one answers. */
export const CreatedRollout = Type.Object(
  {
    ...RolloutCommanded.properties,
    /** Null under fixed limits. */
    preflight: Nullable(Preflight),
  },
  closed,
);
export type CreatedRollout = Static<typeof CreatedRollout>;

/** What a dry run of creating one answers. */
export const RolloutPlan = Type.Object({ ...DryRun.properties, preflight: Nullable(Preflight) }, closed);
export type RolloutPlan = Static<typeof RolloutPlan>;

/** What an abort and a rollback answer. */
export const RolloutEnded = Type.Object(
  {
    ...RolloutCommanded.properties,
    /** The model's stable version after it; null: none is, and devices are told nothing new. */
    stable_version: Nullable(Type.String()),
  },
  closed,
);
export type RolloutEnded = Static<typeof RolloutEnded>;

/** A row of the read model. */
export const RolloutSummary = Type.Object(
  {
    id: Type.Integer({ minimum: 1 }),
    model_id: Uuid,
    version: Type.String(),
    previous_version: Nullable(Type.String()),
    status: RolloutStatus,
    stage: Type.Integer({ minimum: -1 }),
    stages: Type.Array(Stage),
    percent_target: Type.Number(),
    created_at: Instant,
    started_at: Nullable(Instant),
    completed_at: Nullable(Instant),
    updated_at: Instant,
  },
  closed,
);
export type RolloutSummary = Static<typeof RolloutSummary>;
export const RolloutPage = pageOf(RolloutSummary);
export type RolloutPage = Static<typeof RolloutPage>;

/** `POST /models/{m}/rollback` answers the rollout that was rolled back, and where devices go. */
export const ModelRolledBack = Type.Object(
  {
    ...RolloutEnded.properties,
    rollout_id: Type.Integer({ minimum: 1 }),
    /** The version devices return to; null: no other one is in force. */
    target: Nullable(Type.String()),
  },
  closed,
);
export type ModelRolledBack = Static<typeof ModelRolledBack>;

export { CreateRollout } from '../domain/rollout/requestSchema.ts';

export const Advance = Type.Object(
  {
    /** Skips the bake; needs a reason, and never passes a regressed verdict. */
    override: Type.Optional(Type.Boolean()),
    reason: Type.Optional(Reason),
  },
  closed,
);
export type Advance = Static<typeof Advance>;

export const RollBackRollout = Type.Object({ reason: Reason, target_version: Type.Optional(VersionRef) }, closed);
export type RollBackRollout = Static<typeof RollBackRollout>;

export const RootCause = Type.Object({ text: Text(20_000, 1) }, closed);
export type RootCause = Static<typeof RootCause>;

/** Counters of one arm, and what they come to; a rate is null where its denominator is 0. */
export const ArmHealth = Type.Object(
  {
    ...ArmCounters.properties,
    error_rate: Nullable(Type.Number()),
    download_failure_rate: Nullable(Type.Number()),
    latency_p95_ms: Nullable(Type.Number()),
  },
  closed,
);
export type ArmHealth = Static<typeof ArmHealth>;

export const RolloutHealth = Type.Object(
  {
    rollout_id: Type.Integer({ minimum: 1 }),
    stage: Type.Integer({ minimum: -1 }),
    canary: ArmHealth,
    control: ArmHealth,
    by_platform: Type.Record(Type.String(), Type.Object({ canary: ArmHealth, control: ArmHealth }, closed)),
    judged: Nullable(HealthJudgement),
    note: Type.Literal('counters are not kept over time'),
  },
  closed,
);
export type RolloutHealth = Static<typeof RolloutHealth>;
