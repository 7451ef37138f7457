/** The training protocol of our own devices (docs/design/learning.md "Task protocol"). Idempotent by lease and digest. */
import Type, { type Static } from 'typebox';
import { TrainingSpec } from '../domain/events/training.ts';
import { closed, Count, DeviceRef, Instant, JsonObject, Line, Nullable, Sha256Text, Text, Uuid } from './common.ts';

export const CheckIn = Type.Object(
  {
    device_id: DeviceRef,
    /** Only these runs; any open one otherwise. */
    runs: Type.Optional(Type.Array(Line(64), { minItems: 1, maxItems: 100 })),
    samples: Type.Optional(Count),
    held: Type.Optional(Type.Array(Sha256Text, { maxItems: 1_000 })),
    capabilities: Type.Optional(JsonObject),
  },
  closed,
);
export type CheckIn = Static<typeof CheckIn>;

export const Task = Type.Object(
  {
    task_id: Type.String(),
    /** Goes into `EdgeML-Lease`, never into a URL. */
    lease: Type.String(),
    lease_expires: Instant,
    round_id: Type.String(),
    run_id: Type.String(),
    model_id: Uuid,
    plan: Type.Object({ ...TrainingSpec.properties.client.properties, seed: Sha256Text }, closed),
    base: Type.Object({ sha256: Sha256Text, bytes: Count, url: Type.String() }, closed),
    upload: Type.Object(
      {
        url: Type.String(),
        max_bytes: Count,
        tensors: Type.Array(Type.Object({ name: Type.String(), shape: Type.Array(Count) }, closed)),
      },
      closed,
    ),
  },
  closed,
);
export type Task = Static<typeof Task>;

export const CheckInAnswer = Type.Object(
  {
    task: Nullable(Task),
    /** Come back after a random time in between; null: there is nothing to come back for. */
    retry: Nullable(Type.Object({ min_ms: Count, max_ms: Count }, closed)),
    reason: Type.Optional(Type.String()),
  },
  closed,
);
export type CheckInAnswer = Static<typeof CheckInAnswer>;

export const UpdateReceipt = Type.Object(
  { update_sha: Sha256Text, round_id: Type.String(), weight: Type.Number(), samples: Count, accepted_at: Instant },
  closed,
);
export type UpdateReceipt = Static<typeof UpdateReceipt>;

export const AbortTask = Type.Object({ phase: Line(100, 1), reason: Text(500, 1) }, closed);
export type AbortTask = Static<typeof AbortTask>;

export const TaskAborted = Type.Object({ task_id: Type.String(), aborted: Type.Literal(true) }, closed);
export type TaskAborted = Static<typeof TaskAborted>;
