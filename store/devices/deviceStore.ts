/**
 * Registered devices. Durable when it returns; concurrent; not ordered; registering is
 * idempotent. Rows, never facts: nothing about one device is in the log.
 */
import { deviceIdOf } from '../../domain/hash/uuid.ts';
import { UUID } from '../../domain/names.ts';
import { asOrgId, type OrgId } from '../../domain/org.ts';
import type { Queryable } from '../queryable.ts';

export interface Device {
  readonly id: string;
  readonly orgId: OrgId;
  readonly identifier: string;
  readonly platform: string | null;
  readonly osVersion: string | null;
  readonly appVersion: string | null;
  readonly sdkVersion: string | null;
  /** Whatever else was sent, as sent. */
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly registeredAt: Date;
  readonly updatedAt: Date;
  readonly lastSeenAt: Date;
}

/** What a device says of itself; absent members keep their last value. */
export interface DeviceWords {
  readonly platform?: string | undefined;
  readonly osVersion?: string | undefined;
  readonly appVersion?: string | undefined;
  readonly sdkVersion?: string | undefined;
  readonly attributes?: Readonly<Record<string, unknown>> | undefined;
}

export interface DeviceModel {
  readonly toldVersion: string | null;
  readonly toldAt: Date | null;
  readonly reportedVersion: string | null;
  readonly reportedAt: Date | null;
}

export interface DeviceStore {
  /**
   * The same identifier of an organisation is the same device, and keeps its id; its words are refreshed. An identifier that is
   * the id of a device means that device, here as everywhere: no identifier hides a device from who knows its id.
   */
  registerDevice(
    device: DeviceWords & { readonly orgId: OrgId; readonly identifier: string },
  ): Promise<{ readonly device: Device; readonly isNew: boolean }>;
  /** Notes that it is alive, and what it says anew. Undefined where it is not registered. */
  heartbeat(orgId: OrgId, device: string, words?: DeviceWords): Promise<Device | undefined>;
  /** By the id we issued, or by its own identifier; the id wins. */
  getDevice(orgId: OrgId, device: string): Promise<Device | undefined>;
  /** The newest first. */
  listDevices(
    orgId: OrgId,
    page: { readonly platform?: string | undefined; readonly limit: number; readonly offset: number },
  ): Promise<{ readonly devices: Device[]; readonly total: number }>;
  /** Undefined where it neither asked nor reported. */
  deviceModel(device: Pick<Device, 'id'>, modelId: string): Promise<DeviceModel | undefined>;
}

interface DeviceRow extends Record<string, unknown> {
  id: string;
  org_id: string;
  identifier: string;
  platform: string | null;
  os_version: string | null;
  app_version: string | null;
  sdk_version: string | null;
  attributes: Record<string, unknown>;
  registered_at: Date;
  updated_at: Date;
  last_seen_at: Date;
}

const COLUMNS = `id, org_id, identifier, platform, os_version, app_version, sdk_version, attributes,
  registered_at, updated_at, last_seen_at`;
const deviceOf = (row: DeviceRow): Device => ({
  id: row.id,
  orgId: asOrgId(row.org_id),
  identifier: row.identifier,
  platform: row.platform,
  osVersion: row.os_version,
  appVersion: row.app_version,
  sdkVersion: row.sdk_version,
  attributes: row.attributes,
  registeredAt: row.registered_at,
  updatedAt: row.updated_at,
  lastSeenAt: row.last_seen_at,
});

/** Ids that `device` may mean, the likelier first: every identifier has one id, so no index on identifiers is needed. */
const idsOf = (orgId: OrgId, device: string) => [
  ...(UUID.test(device) ? [device.toLowerCase()] : []),
  deviceIdOf(orgId, device),
];

const wordsOf = ({ platform, osVersion, appVersion, sdkVersion, attributes }: DeviceWords) => [
  platform ?? null,
  osVersion ?? null,
  appVersion ?? null,
  sdkVersion ?? null,
  JSON.stringify(attributes ?? {}),
];

/** True where what an assignment reads of a device is now another than before the statement, whose snapshot the inner query reads. */
const HAS_CHANGED = `coalesce((SELECT (b.platform, b.os_version, b.app_version) IS DISTINCT FROM (d.platform, d.os_version, d.app_version)
  FROM ops.devices b WHERE b.id = d.id), false) AS has_changed`;

/**
 * @param pool as `edgeml_app`; each call is one statement in autocommit
 * @param onChange told of a known device that says something else than before
 */
export function createDeviceStore(
  pool: Queryable,
  onChange: (deviceId: string) => void = () => undefined,
): DeviceStore {
  const noted = (row: DeviceRow & { has_changed: boolean }): Device => {
    if (row.has_changed) onChange(row.id);
    return deviceOf(row);
  };
  return {
    async registerDevice({ orgId, identifier, ...words }) {
      const { rows } = await pool.query<DeviceRow & { is_new: boolean; has_changed: boolean }>(
        `INSERT INTO ops.devices AS d (id, org_id, identifier, platform, os_version, app_version, sdk_version, attributes)
         VALUES (coalesce((SELECT id FROM ops.devices WHERE org_id = $2 AND id = $9), $1), $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (id) DO UPDATE SET
           platform = coalesce(excluded.platform, d.platform), os_version = coalesce(excluded.os_version, d.os_version),
           app_version = coalesce(excluded.app_version, d.app_version),
           sdk_version = coalesce(excluded.sdk_version, d.sdk_version), attributes = d.attributes || excluded.attributes,
           updated_at = clock_timestamp(), last_seen_at = clock_timestamp()
         RETURNING ${COLUMNS}, xmax = 0 AS is_new, ${HAS_CHANGED}`,
        [
          deviceIdOf(orgId, identifier),
          orgId,
          identifier,
          ...wordsOf(words),
          UUID.test(identifier) ? identifier : null,
        ],
      );
      return { device: noted(rows[0]!), isNew: rows[0]!.is_new };
    },

    async heartbeat(orgId, device, words = {}) {
      const { rows } = await pool.query<DeviceRow & { has_changed: boolean }>(
        `UPDATE ops.devices AS d SET
           platform = coalesce($3, platform), os_version = coalesce($4, os_version),
           app_version = coalesce($5, app_version), sdk_version = coalesce($6, sdk_version),
           attributes = attributes || $7::jsonb, last_seen_at = clock_timestamp()
         WHERE org_id = $1 AND id = (SELECT id FROM ops.devices WHERE org_id = $1 AND id = ANY ($2::uuid[])
                                      ORDER BY array_position($2::uuid[], id) LIMIT 1)
         RETURNING ${COLUMNS}, ${HAS_CHANGED}`,
        [orgId, idsOf(orgId, device), ...wordsOf(words)],
      );
      return rows[0] && noted(rows[0]);
    },

    async getDevice(orgId, device) {
      const { rows } = await pool.query<DeviceRow>(
        `SELECT ${COLUMNS} FROM ops.devices WHERE org_id = $1 AND id = ANY ($2::uuid[])
          ORDER BY array_position($2::uuid[], id) LIMIT 1`,
        [orgId, idsOf(orgId, device)],
      );
      return rows[0] && deviceOf(rows[0]);
    },

    async listDevices(orgId, { platform, limit, offset }) {
      const { rows } = await pool.query<{ total: number; devices: DeviceRow[] | null }>(
        `SELECT (SELECT count(*) FROM ops.devices WHERE org_id = $1 AND ($2::text IS NULL OR platform = $2))::int AS total,
                (SELECT jsonb_agg(p) FROM (SELECT ${COLUMNS} FROM ops.devices
                   WHERE org_id = $1 AND ($2::text IS NULL OR platform = $2)
                   ORDER BY registered_at DESC, id LIMIT $3 OFFSET $4) p) AS devices`,
        [orgId, platform ?? null, limit, offset],
      );
      const { total, devices } = rows[0]!;
      // Inside JSON the times are text.
      const dated = (row: DeviceRow): DeviceRow => ({
        ...row,
        registered_at: new Date(row.registered_at),
        updated_at: new Date(row.updated_at),
        last_seen_at: new Date(row.last_seen_at),
      });
      return { total, devices: (devices ?? []).map((row) => deviceOf(dated(row))) };
    },

    async deviceModel({ id }, modelId) {
      const { rows } = await pool.query<{
        told_version: string | null;
        told_at: Date | null;
        reported_version: string | null;
        reported_at: Date | null;
      }>(
        `SELECT told_version, told_at, reported_version, reported_at FROM ops.device_model
          WHERE device_id = $1 AND model_id = $2`,
        [id, modelId],
      );
      const row = rows[0];
      return (
        row && {
          toldVersion: row.told_version,
          toldAt: row.told_at,
          reportedVersion: row.reported_version,
          reportedAt: row.reported_at,
        }
      );
    },
  };
}
