/**
 * The EdgeML API: shapes that existing SDKs read (docs/design/http.md "Calls of existing SDKs"). Unknown members are ignored;
 * answers never hold null, and times are whole seconds.
 */
import Type, { type Static } from 'typebox';
import { ROLLOUT_STATES } from '../../domain/states.ts';
import { Seconds } from '../../wire/deviceCalls.ts';
import { Count, DeviceRef, JsonObject, Line, Name, Text, VersionRef, Warnings, wordOf } from '../../wire/common.ts';
import { LifecycleState } from '../../wire/version.ts';

const open = { additionalProperties: true } as const;
const shut = { additionalProperties: false } as const;
const Told = Type.Optional(Type.String());

export const SdkHealth = Type.Object({ status: Type.String(), version: Type.String(), timestamp: Seconds }, shut);

export const SdkModel = Type.Object(
  {
    id: Type.String(),
    org_id: Type.String(),
    name: Type.String(),
    framework: Type.String(),
    use_case: Type.String(),
    description: Type.String(),
    version_count: Count,
    created_at: Seconds,
    updated_at: Seconds,
    lifecycle_state: LifecycleState,
    latest_version: Told,
    stable_version: Told,
    architecture: Type.Optional(JsonObject),
    model_contract: Type.Optional(JsonObject),
    warnings: Warnings,
  },
  shut,
);
export type SdkModel = Static<typeof SdkModel>;
export const SdkModels = Type.Object({ models: Type.Array(SdkModel), total: Count }, shut);

export const SdkRegisterModel = Type.Object(
  {
    name: Name,
    framework: Line(100, 1),
    use_case: Line(200),
    description: Type.Optional(Text(4_000)),
    org_id: Type.Optional(Line(200)),
    model_contract: Type.Optional(JsonObject),
    data_contract: Type.Optional(JsonObject),
  },
  open,
);
export type SdkRegisterModel = Static<typeof SdkRegisterModel>;

export const SdkVersion = Type.Object(
  {
    id: Type.String(),
    model_id: Type.String(),
    version: Type.String(),
    status: wordOf(['draft', 'published', 'rolled_back']),
    lifecycle_state: LifecycleState,
    format: Type.String(),
    formats: Type.Record(
      Type.String(),
      Type.Object({ status: Type.String(), checksum: Told, size_bytes: Type.Optional(Count), code: Told }, shut),
    ),
    storage_path: Type.String(),
    checksum: Type.String(),
    checksums: Type.Record(Type.String(), Type.String()),
    size_bytes: Count,
    file_size: Count,
    description: Type.String(),
    metrics: Type.Record(Type.String(), Type.Number()),
    parent_version: Told,
    training: Type.Optional(
      Type.Object(
        {
          rounds: Count,
          participants: Count,
          samples: Count,
          loss: Type.Optional(Type.Number()),
          accuracy: Type.Optional(Type.Number()),
        },
        shut,
      ),
    ),
    created_at: Seconds,
    updated_at: Seconds,
    published_at: Type.Optional(Seconds),
    /** Of the call to publish (C11) only: the publication runs on; ask for the version again. */
    publishing: Type.Optional(Type.Literal(true)),
    warnings: Warnings,
  },
  shut,
);
export type SdkVersion = Static<typeof SdkVersion>;
export const SdkVersions = Type.Object({ versions: Type.Array(SdkVersion) }, shut);

export const SdkCreateRollout = Type.Object(
  {
    version: VersionRef,
    rollout_percentage: Type.Optional(Type.Number()),
    target_percentage: Type.Optional(Type.Number()),
    increment_step: Type.Optional(Type.Number()),
    start_immediately: Type.Optional(Type.Boolean()),
  },
  open,
);
export type SdkCreateRollout = Static<typeof SdkCreateRollout>;

/** The vendor's documents write both names of the target. */
export const SdkRollBack = Type.Object(
  {
    to_version: Type.Optional(VersionRef),
    target_version: Type.Optional(VersionRef),
    reason: Type.Optional(Text(2_000)),
  },
  open,
);

export const SdkRollout = Type.Object(
  {
    id: Type.Integer({ minimum: 1 }),
    model_id: Type.String(),
    version: Type.String(),
    previous_version: Told,
    status: Type.String(),
    lifecycle_state: wordOf(ROLLOUT_STATES),
    rollout_percentage: Type.Number(),
    percentage: Type.Number(),
    initial_percentage: Type.Number(),
    target_percentage: Type.Number(),
    increment_step: Type.Number(),
    created_at: Seconds,
    updated_at: Seconds,
    started_at: Type.Optional(Seconds),
    completed_at: Type.Optional(Seconds),
    affected_devices: Count,
    total_devices: Type.Integer({
      ...Count,
      description:
        'As counted last: an answer waits a second for a count, that of a pause not at all. 0 before the first.',
    }),
    /** A deploy that was a way back: `rollback`. */
    kind: Told,
    warnings: Type.Optional(Type.Array(Type.String())),
  },
  shut,
);
export type SdkRollout = Static<typeof SdkRollout>;
export const SdkRollouts = Type.Array(SdkRollout);

/** A federation (C31, C32): a name of the organisation, under which it trains. */
export const SdkFederation = Type.Object(
  {
    id: Type.String(),
    org_id: Type.String(),
    name: Type.String(),
    description: Type.String(),
    created_at: Seconds,
    updated_at: Seconds,
    warnings: Warnings,
  },
  shut,
);
export type SdkFederation = Static<typeof SdkFederation>;

export const SdkCreateFederation = Type.Object(
  { name: Name, description: Type.Optional(Text(4_000)), org_id: Type.Optional(Line(200)) },
  open,
);

export const SdkJoined = Type.Object(
  { federation_id: Type.String(), org_id: Type.String(), status: Type.Literal('joined') },
  shut,
);
export const SdkMembers = Type.Array(
  Type.Object({ org_id: Type.String(), status: Type.Literal('joined'), joined_at: Seconds }, shut),
);
export const SdkNames = Type.Array(Type.Object({ id: Type.String(), name: Type.String() }, shut));

/** A device registers (C27). Hardware comes flat or in `device_info`; all but the identifier is optional. */
export const RegisterDevice = Type.Object(
  {
    device_identifier: Type.Optional(DeviceRef),
    installation_id: Type.Optional(DeviceRef),
    device_id: Type.Optional(DeviceRef),
    org_id: Type.Optional(Line(200)),
    platform: Type.Optional(Line(40)),
    os_version: Type.Optional(Line(500)),
    sdk_version: Type.Optional(Line(100)),
    app_version: Type.Optional(Line(100)),
    manufacturer: Type.Optional(Line(200)),
    model: Type.Optional(Line(200)),
    gpu_available: Type.Optional(Type.Boolean()),
    device_info: Type.Optional(JsonObject),
    capabilities: Type.Optional(JsonObject),
    metadata: Type.Optional(JsonObject),
  },
  open,
);
export type RegisterDevice = Static<typeof RegisterDevice>;

/** A heartbeat (C28). Both spellings of every field; all optional. */
export const Heartbeat = Type.Object({ metadata: Type.Optional(JsonObject) }, open);
export type Heartbeat = Static<typeof Heartbeat>;

export const HeartbeatAnswer = Type.Object(
  {
    status: Type.Literal('ok'),
    acknowledged: Type.Literal(true),
    id: Type.String(),
    device_id: Type.String(),
    device_identifier: Type.String(),
    last_heartbeat: Seconds,
    server_time: Seconds,
    connectivity_status: Type.String(),
    metadata: Type.Record(Type.String(), Type.String()),
    /** In place of the token that asked: it is past half of its life, or says other than the device does now. */
    device_token: Type.Optional(Type.String()),
    device_token_expires_at: Type.Optional(Seconds),
  },
  shut,
);
export type HeartbeatAnswer = Static<typeof HeartbeatAnswer>;

/** What mobile SDKs ask at their start; the same for every device. */
export const DevicePolicy = Type.Object({ battery_threshold: Count, network_policy: Type.Literal('wifi_only') }, shut);
/** Devices have no groups here: `groups` for one generation of SDKs, `memberships` for another. */
export const DeviceGroups = Type.Object(
  {
    groups: Type.Array(Type.Object({}, shut)),
    memberships: Type.Array(Type.Object({}, shut)),
    count: Type.Literal(0),
  },
  shut,
);
export const DeviceBucket = Type.Object(
  {
    device_id: Type.String(),
    model_id: Type.String(),
    bucket: Type.Integer({ minimum: 0, maximum: 9_999 }),
    device_bucket: Type.Integer({ minimum: 0, maximum: 99 }),
  },
  shut,
);
export const AssignReported = Type.Object(
  { device_id: Type.String(), model_id: Type.String(), pinned: Type.Literal(false), version: Told },
  shut,
);
