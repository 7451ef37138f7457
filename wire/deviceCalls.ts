/** What devices of both kinds, ours and those of existing SDKs, are answered on the calls that they share. */
import Type, { type Static } from 'typebox';
import { closed, Count } from './common.ts';

/** RFC 3339 without a fraction: some parsers refuse one. */
export const Seconds = Type.String({ pattern: '^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\dZ$' });

export const RegisteredDevice = Type.Object(
  {
    id: Type.String(),
    device_id: Type.String(),
    device_identifier: Type.String(),
    org_id: Type.String(),
    platform: Type.String(),
    status: Type.Literal('active'),
    registered_at: Seconds,
    created_at: Seconds,
    updated_at: Seconds,
    last_heartbeat: Seconds,
    heartbeat_interval_seconds: Count,
    gpu_available: Type.Boolean(),
    os_version: Type.String(),
    sdk_version: Type.String(),
    app_version: Type.String(),
    manufacturer: Type.String(),
    model: Type.String(),
    capabilities: Type.Record(Type.String(), Type.String()),
    metadata: Type.Record(Type.String(), Type.String()),
    /** Bearer of this device from now on. */
    device_token: Type.String(),
    device_token_expires_at: Seconds,
  },
  closed,
);
export type RegisteredDevice = Static<typeof RegisteredDevice>;

/** The version that a device is told (C30). */
export const AssignedVersion = Type.Object(
  {
    version: Type.String(),
    source: Type.Union([
      Type.Literal('direct'),
      Type.Literal('experiment'),
      Type.Literal('rollout'),
      Type.Literal('default'),
    ]),
    rollout_id: Type.Optional(Type.Integer()),
    device_bucket: Type.Optional(Type.Integer({ minimum: 0, maximum: 9_999 })),
  },
  closed,
);
export type AssignedVersion = Static<typeof AssignedVersion>;

/** A download (C13) as Android reads it, and the link to one (C14). */
export const DownloadLink = Type.Object(
  {
    url: Type.String(),
    download_url: Type.String(),
    expires_at: Seconds,
    checksum: Type.String(),
    file_size: Count,
    size_bytes: Count,
    format: Type.String(),
    version: Type.String(),
  },
  closed,
);
export type DownloadLink = Static<typeof DownloadLink>;
