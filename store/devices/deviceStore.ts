/**
 * Registered devices. Durable when it returns; concurrent; not ordered; registering is
 * idempotent. Rows, never facts: nothing about one device is in the log.
 */
import type { ModelId } from '../../domain/brands.ts';
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
  /** Where it says it is, in words of its own. */
  readonly region: string | null;
  readonly sdkVersion: string | null;
  /** Whatever else was sent, as sent. */
  readonly attributes: Readonly<Record<string, unknown>>;
  /** Of its tokens: those of an earlier one are revoked. */
  readonly generation: number;
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

/** Registering a device, by its own identifier. */
export interface Registration extends DeviceWords {
  readonly orgId: OrgId;
  readonly identifier: string;
  /** What only a repeat of this registration knows. */
  readonly claim?: string | undefined;
}

export interface ReleasedDevice extends Device {
  readonly raisedAt: Date;
  /** Key id. */
  readonly raisedBy: string;
}

export interface DeviceStore {
  /**
   * The same identifier of an organisation is the same device, and keeps its id; its words are refreshed. An identifier that is
   * the id of a device means that device, here as everywhere: no identifier hides a device from who knows its id.
   */
  registerDevice(registration: Registration): Promise<{ readonly device: Device; readonly isNew: boolean }>;
  /**
   * The same for a device that is new, was released, or is claimed by this very registration. Undefined for any other, of which
   * nothing is changed. Of two at once for one device, one claims it.
   */
  claimDevice(registration: Registration): Promise<{ readonly device: Device; readonly isNew: boolean } | undefined>;
  /**
   * Notes that it is alive, and what it says anew. Undefined where it is not registered.
   *
   * @param of only a device whose tokens are of this generation; `registers`: its row was refreshed as by registering
   */
  heartbeat(
    orgId: OrgId,
    device: string,
    words?: DeviceWords,
    of?: { readonly generation: number; readonly registers?: boolean },
  ): Promise<Device | undefined>;
  /** Revokes its tokens, and lets the next registration claim it. Undefined where it is not registered. */
  releaseDevice(orgId: OrgId, device: string, by: string): Promise<ReleasedDevice | undefined>;
  /** Of the device's tokens, by the id we issued. Undefined where it is not registered. */
  generationOf(id: string): Promise<number | undefined>;
  /** By the id we issued, or by its own identifier; the id wins. */
  getDevice(orgId: OrgId, device: string): Promise<Device | undefined>;
  /** The newest first. */
  listDevices(
    orgId: OrgId,
    page: { readonly platform?: string | undefined; readonly limit: number; readonly offset: number },
  ): Promise<{ readonly devices: Device[]; readonly total: number }>;
  /** Undefined where it neither asked nor reported. */
  deviceModel(device: Pick<Device, 'id'>, modelId: ModelId): Promise<DeviceModel | undefined>;
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
  generation: number;
  registered_at: Date;
  updated_at: Date;
  last_seen_at: Date;
}

const COLUMNS = `id, org_id, identifier, platform, os_version, app_version, sdk_version, attributes, generation,
  registered_at, updated_at, last_seen_at`;
const deviceOf = (row: DeviceRow): Device => ({
  id: row.id,
  orgId: asOrgId(row.org_id),
  identifier: row.identifier,
  platform: row.platform,
  osVersion: row.os_version,
  appVersion: row.app_version,
  region: typeof row.attributes['region'] === 'string' ? row.attributes['region'] : null,
  sdkVersion: row.sdk_version,
  attributes: row.attributes,
  generation: row.generation,
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

/** The one row that `$2` may mean, in the organisation `$1`. */
const IS_MEANT = `org_id = $1 AND id = (SELECT id FROM ops.devices WHERE org_id = $1 AND id = ANY ($2::uuid[])
   ORDER BY array_position($2::uuid[], id) LIMIT 1)`;

/** True where what an assignment reads of a device is now another than before the statement, whose snapshot the inner query reads. */
const HAS_CHANGED = `coalesce((SELECT (b.platform, b.os_version, b.app_version, b.attributes -> 'region')
  IS DISTINCT FROM (d.platform, d.os_version, d.app_version, d.attributes -> 'region')
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
  /** @param mayTake of a device that is there, `d`: whether this registration gets it */
  async function register({ orgId, identifier, claim, ...words }: Registration, mayTake: string) {
    const { rows } = await pool.query<DeviceRow & { is_new: boolean; has_changed: boolean }>(
      `INSERT INTO ops.devices AS d (id, org_id, identifier, platform, os_version, app_version, sdk_version, attributes, claim)
       VALUES (coalesce((SELECT id FROM ops.devices WHERE org_id = $2 AND id = $9), $1), $2, $3, $4, $5, $6, $7, $8,
               sha256(convert_to($10, 'UTF8')))
       ON CONFLICT (id) DO UPDATE SET
         platform = coalesce(excluded.platform, d.platform), os_version = coalesce(excluded.os_version, d.os_version),
         app_version = coalesce(excluded.app_version, d.app_version),
         sdk_version = coalesce(excluded.sdk_version, d.sdk_version), attributes = d.attributes || excluded.attributes,
         updated_at = clock_timestamp(), last_seen_at = clock_timestamp(), is_released = false, claim = excluded.claim
       WHERE ${mayTake}
       RETURNING ${COLUMNS}, xmax = 0 AS is_new, ${HAS_CHANGED}`,
      [
        deviceIdOf(orgId, identifier),
        orgId,
        identifier,
        ...wordsOf(words),
        UUID.test(identifier) ? identifier : null,
        claim ?? null,
      ],
    );
    return rows[0] && { device: noted(rows[0]), isNew: rows[0].is_new };
  }

  return {
    async registerDevice(registration) {
      return (await register(registration, 'true'))!;
    },

    claimDevice: (registration) => register(registration, 'd.is_released OR d.claim = excluded.claim'),

    async heartbeat(orgId, device, words = {}, of) {
      const { rows } = await pool.query<DeviceRow & { has_changed: boolean }>(
        `UPDATE ops.devices AS d SET
           platform = coalesce($3, platform), os_version = coalesce($4, os_version),
           app_version = coalesce($5, app_version), sdk_version = coalesce($6, sdk_version),
           attributes = attributes || $7::jsonb, last_seen_at = clock_timestamp(),
           updated_at = CASE WHEN $9 THEN clock_timestamp() ELSE updated_at END
         WHERE ${IS_MEANT} AND generation = coalesce($8, generation)
         RETURNING ${COLUMNS}, ${HAS_CHANGED}`,
        [orgId, idsOf(orgId, device), ...wordsOf(words), of?.generation ?? null, of?.registers ?? false],
      );
      return rows[0] && noted(rows[0]);
    },

    async releaseDevice(orgId, device, by) {
      const { rows } = await pool.query<DeviceRow & { raised_at: Date }>(
        `UPDATE ops.devices SET generation = generation + 1, raised_at = clock_timestamp(), raised_by = $3,
           is_released = true, claim = NULL
         WHERE ${IS_MEANT} RETURNING ${COLUMNS}, raised_at`,
        [orgId, idsOf(orgId, device), by],
      );
      return rows[0] && { ...deviceOf(rows[0]), raisedAt: rows[0].raised_at, raisedBy: by };
    },

    async generationOf(id) {
      const { rows } = await pool.query<{ generation: number }>('SELECT generation FROM ops.devices WHERE id = $1', [
        id,
      ]);
      return rows[0]?.generation;
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
