/** The JSON of the routes the SDK uses: the same declarations that the server validates and publishes. Types only. */
export type { DryRun } from '../wire/common.ts';
export type { Architecture } from '../domain/events/model.ts';
export type { DeviceReport, ReleasedDevice, ReportAnswer } from '../wire/device.ts';
export type { Event, EventPage, Replay, Stream } from '../wire/event.ts';
export type { RebuildResult } from '../wire/admin.ts';
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
} from '../wire/key.ts';
export type { Lineage, LineageNode, Model, ModelPage, ModelRegistered, ModelSummary } from '../wire/model.ts';
export type { Operation } from '../wire/operation.ts';
export type { Org, OrgCreated, Orgs } from '../wire/org.ts';
export type {
  CreateRollout,
  Rollout,
  RolloutEnded,
  RolloutHealth,
  RolloutPage,
  RolloutPlan,
  RolloutSummary,
} from '../wire/rollout.ts';
export type { AssignedVersion, DownloadLink, RegisteredDevice } from '../wire/deviceCalls.ts';
export type { CheckInAnswer, Task, UpdateReceipt } from '../wire/task.ts';
export type { Round, Rounds, Training, TrainingPage } from '../wire/training.ts';
export type { Version, VersionPage } from '../wire/version.ts';
