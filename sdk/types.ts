/** The JSON of the routes the SDK uses: the same declarations that the server validates and publishes. Types only. */
export type { DryRun } from '../api/schemas/common.ts';
export type { Architecture } from '../domain/events/model.ts';
export type { ReportAnswer } from '../api/schemas/device.ts';
export type { Event, EventPage, Replay, Stream } from '../api/schemas/event.ts';
export type { RebuildResult } from '../api/schemas/admin.ts';
export type {
  AuditFinding,
  AuditResult,
  CheckpointView,
  Key,
  KeyCreated,
  Keys,
  Me,
  Role,
  VerifyRequest,
} from '../api/schemas/key.ts';
export type { Lineage, LineageNode, Model, ModelPage, ModelRegistered, ModelSummary } from '../api/schemas/model.ts';
export type { Operation } from '../api/schemas/operation.ts';
export type { Org, OrgCreated, Orgs } from '../api/schemas/org.ts';
export type {
  CreateRollout,
  Rollout,
  RolloutEnded,
  RolloutHealth,
  RolloutPage,
  RolloutSummary,
} from '../api/schemas/rollout.ts';
export type { AssignedVersion, RegisteredDevice, SdkDownload } from '../api/schemas/sdk.ts';
export type { CheckInAnswer, Task, UpdateReceipt } from '../api/schemas/task.ts';
export type { Round, Rounds, Training, TrainingPage } from '../api/schemas/training.ts';
export type { Version, VersionPage } from '../api/schemas/version.ts';
