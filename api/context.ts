/** What the API is given; `server.ts` (the process) and the tests compose it. */
import type { Inspector } from '../activities/runtimes/inspector.ts';
import type { CommandDeps } from '../commands/context.ts';
import type { Checkpoint } from '../domain/ledger/checkpoint.ts';
import type { ArtifactStore } from '../store/artifacts/artifactStore.ts';
import type { FederationStore } from '../store/federations/federationStore.ts';
import type { KeyStore } from '../store/keys/keyStore.ts';
import type { OrgStore } from '../store/orgs/orgStore.ts';
import type { ActiveDevices } from '../store/devices/activeDevices.ts';
import type { DeviceStore } from '../store/devices/deviceStore.ts';
import type { CanaryCounts } from '../store/telemetry/canaryCounts.ts';
import type { ReportQueue } from '../store/telemetry/reportQueue.ts';
import type { TelemetryReader } from '../store/telemetry/telemetryReader.ts';
import type { PostgresEventStore } from '../store/log/postgresEventStore.ts';
import type { Uploads } from './http/uploads.ts';
import type { FleetSize } from './fleetSize.ts';
import type { StopDeps } from './lane.ts';
import type { DeviceAuth } from './access/bearer.ts';
import type { Cursors } from './access/cursors.ts';
import type { Links } from './access/links.ts';
import type { LogWatch } from './logWatch.ts';
import type { Metrics } from './metrics.ts';
import type { RebuildResult } from '../wire/admin.ts';
import type { Verify } from './lifecycle/views/auditLines.ts';
import type { PointerTable } from '../projections/pointerTable.ts';
import type { ReadModels } from '../projections/readModels.ts';

export interface ApiDeps {
  readonly log: PostgresEventStore;
  readonly commands: CommandDeps;
  /** The same over connections that only stops use; `lane.ts` chooses. */
  readonly stops: StopDeps;
  readonly blobs: ArtifactStore;
  readonly inspector: Inspector;
  readonly keys: KeyStore;
  readonly orgs: OrgStore;
  readonly federations: FederationStore;
  readonly links: Links;
  readonly cursors: Cursors;
  readonly reads: ReadModels;
  readonly pointers: PointerTable;
  readonly telemetry: TelemetryReader;
  readonly devices: DeviceStore;
  /** The same devices as they ask, in memory. */
  readonly active: ActiveDevices;
  readonly deviceAuth: DeviceAuth;
  readonly fleetSize: FleetSize;
  readonly reports: ReportQueue;
  readonly canaryCounts: CanaryCounts;
  readonly watch: LogWatch;
  readonly verify: Verify;
  readonly readModels: {
    readonly names: readonly string[];
    /** @throws LifecycleError `conflict` where it is rebuilt already */
    rebuild(
      name: string,
      signal: AbortSignal,
      onProgress: (done: number, total: number) => void,
    ): Promise<RebuildResult['result']>;
  };
  /** The newest recorded checkpoint of the log. */
  readonly checkpoint: () => Promise<Checkpoint>;
  readonly metrics: Metrics;
  /** What must be done before any request can be answered; undefined once it is. */
  readonly starting: () => PartState | undefined;
  /** What the process knows of its parts; `postgres` alone decides whether it is ready. */
  readonly parts: () => Promise<readonly PartState[]>;
  /** Where this API is reached from outside, without a trailing slash: links and `type` of problems. */
  readonly publicUrl: string;
  /** Origins whose scripts may read answers; none: no other than this API's own. */
  readonly corsOrigins: readonly string[];
  /** Requests a minute of one key; no limit without it. */
  readonly rateLimit: number | undefined;
  readonly maxUploadBytes: number;
  readonly uploads: Uploads;
  readonly version: string;
}

/** One thing the service stands on or runs. */
export interface PartState {
  readonly name: string;
  /** `starting`: not there yet, and on its way by itself. */
  readonly state: 'ok' | 'starting' | 'degraded' | 'down';
  readonly detail?: string;
}
