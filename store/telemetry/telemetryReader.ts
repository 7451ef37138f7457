/** What the counters say. Reads only, each in one snapshot; concurrent; as fresh as the last committed report. */
import type { ModelId, Semver } from '../../domain/brands.ts';
import type { ArmCounters } from '../../domain/events/rollout.ts';
import { rolloutStream } from '../../domain/events/streams.ts';
import type { Arm } from '../../domain/rollout/arms.ts';
import { sumByPlatform, sumCells, type Arms, type Cell } from '../../domain/rollout/counters.ts';
import type { Queryable } from '../queryable.ts';
import { namedSql } from '../sql/namedSql.ts';

export interface DevicesOn {
  readonly told: number;
  /** Those whose last report names the version. A silent device is not known to run it. */
  readonly outstanding: number;
  readonly back: number;
}

/** As the members of a report. */
export interface DeviceTotals {
  readonly predictions: { readonly ok: number; readonly failed: number };
  readonly downloads: { readonly started: number; readonly ok: number; readonly failed: number };
  readonly loads: { readonly ok: number; readonly failed: number };
  readonly crashes: number;
  readonly fallbacks: number;
  readonly labelled: { readonly correct: number; readonly total: number };
}

export interface TelemetryReader {
  /** Every leaf of a rollout, or of one stage of it. */
  readLeaves(rolloutId: number, stage?: number): Promise<Cell[]>;
  /** Totals of one stage, both arms. */
  readCounters(rolloutId: number, stage: number): Promise<Arms>;
  readCountersByPlatform(rolloutId: number, stage: number): Promise<Readonly<Record<string, Arms>>>;
  /** Of the devices that were ever told the version: which still run it, by their last word. */
  devicesOnVersion(modelId: ModelId, version: Semver): Promise<DevicesOn>;
  /** The same for the version of a rollout; zeros where there is no such rollout. */
  devicesStillOn(rolloutId: number): Promise<DevicesOn>;
  /** All that a device reported of a version, over all its sessions; undefined where nothing was counted. */
  readTotals(deviceId: string, modelId: ModelId, version: Semver): Promise<DeviceTotals | undefined>;
}

interface LeafRow extends ArmCounters, Record<string, unknown> {
  stage: number;
  arm: Arm;
  platform: string;
  os_major: string;
}

type Total =
  | `predictions_${'ok' | 'failed'}`
  | `downloads_${'started' | 'ok' | 'failed'}`
  | `loads_${'ok' | 'failed'}`
  | 'crashes'
  | 'fallbacks'
  | `labelled_${'correct' | 'total'}`;
type TotalRow = Record<Total, number>;

const totalsOf = (row: TotalRow): DeviceTotals => ({
  predictions: { ok: row.predictions_ok, failed: row.predictions_failed },
  downloads: { started: row.downloads_started, ok: row.downloads_ok, failed: row.downloads_failed },
  loads: { ok: row.loads_ok, failed: row.loads_failed },
  crashes: row.crashes,
  fallbacks: row.fallbacks,
  labelled: { correct: row.labelled_correct, total: row.labelled_total },
});

const LEAVES = namedSql('telemetry_leaves');
const STILL_ON = namedSql('devices_still_on');

/** @param on as `edgeml_app` */
export function createTelemetryReader(on: Queryable): TelemetryReader {
  const readLeaves = async (rolloutId: number, stage?: number): Promise<Cell[]> => {
    const { rows } = await on.query<LeafRow>(LEAVES, [rolloutId, stage ?? null]);
    return rows.map(({ stage: of, arm, platform, os_major: osMajor, ...counters }) => ({
      stage: of,
      arm,
      platform,
      osMajor,
      counters: {
        devices: counters.devices,
        predictions: counters.predictions,
        errors: counters.errors,
        downloads: counters.downloads,
        download_failures: counters.download_failures,
        latency: counters.latency,
      },
    }));
  };
  const devicesOnVersion = async (modelId: ModelId, version: Semver): Promise<DevicesOn> => {
    const { rows } = await on.query<{ told: number; outstanding: number }>(STILL_ON, [modelId, version]);
    const { told, outstanding } = rows[0]!;
    return { told, outstanding, back: told - outstanding };
  };
  return {
    readLeaves,
    readCounters: async (rolloutId, stage) => sumCells(await readLeaves(rolloutId, stage)),
    readCountersByPlatform: async (rolloutId, stage) => sumByPlatform(await readLeaves(rolloutId, stage)),
    devicesOnVersion,
    async readTotals(deviceId, modelId, version) {
      const { rows } = await on.query<TotalRow>(
        'SELECT * FROM ops.report_total WHERE device_id = $1 AND model_id = $2 AND version = $3',
        [deviceId, modelId, version],
      );
      return rows[0] && totalsOf(rows[0]);
    },
    async devicesStillOn(rolloutId) {
      // RolloutCreated never changes: a rollout is about one version for ever.
      const { rows } = await on.query<{ model_id: string; version: Semver }>(
        `SELECT data ->> 'model_id' AS model_id, data ->> 'version' AS version FROM store.events
          WHERE stream_id = $1 AND stream_version = 1`,
        [rolloutStream(rolloutId)],
      );
      const created = rows[0];
      return created ? devicesOnVersion(created.model_id, created.version) : { told: 0, outstanding: 0, back: 0 };
    },
  };
}
