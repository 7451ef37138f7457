/** Composes the API from a database, a blob store and a secret: the process and the tests do it alike. */
import type { FastifyBaseLogger } from 'fastify';
import { createInspector } from '../activities/runtimes/inspector.ts';
import { createAuditor } from '../audit/beside.ts';
import { createCommandDeps } from '../commands/createDeps.ts';
import { createPointerTable } from '../projections/pointerTable.ts';
import { createReadModels, type ReadModelStatus } from '../projections/readModels.ts';
import type { ArtifactStore } from '../store/artifacts/artifactStore.ts';
import { createPool } from '../store/connect.ts';
import { createFederationStore } from '../store/federations/federationStore.ts';
import { createKeyCache } from '../store/keys/keyCache.ts';
import { createKeyStore, type KeyStore } from '../store/keys/keyStore.ts';
import { newestCheckpoint } from '../store/ledger/newest.ts';
import type { Queryable } from '../store/queryable.ts';
import { createEventStore } from '../store/log/postgresEventStore.ts';
import { queryableOf } from '../store/queryable.ts';
import { createOrgStore } from '../store/orgs/orgStore.ts';
import { createActiveDevices } from '../store/devices/activeDevices.ts';
import { createDeviceStore } from '../store/devices/deviceStore.ts';
import { createRaisedGenerations } from '../store/devices/raisedGenerations.ts';
import { createCanaryCounts } from '../store/telemetry/canaryCounts.ts';
import { createReportQueue } from '../store/telemetry/reportQueue.ts';
import { createTelemetryReader } from '../store/telemetry/telemetryReader.ts';
import type { DeviceAuthMode } from './access/bearer.ts';
import { createDeviceTokens, TOKEN_TTL_MS } from './access/deviceTokens.ts';
import { createCursors } from './access/cursors.ts';
import { createLinks } from './access/links.ts';
import type { App } from './app.ts';
import type { ApiDeps, PartState } from './context.ts';
import { within } from '../store/within.ts';
import { PROBE_MS } from './http/shared.ts';
import { createUploads, UPLOAD_LIMITS, type UploadLimits } from './http/uploads.ts';
import { createFleetSize } from './fleetSize.ts';
import { createLogWatch } from './logWatch.ts';
import { openStopLane } from './stopLane.ts';
import { createMetrics, observeLog } from './metrics.ts';
import { relayCursors, sequencerLag } from '../store/log/progress.ts';
import { partsInDatabase } from './readiness.ts';
import { rebuildable } from './rebuildable.ts';
import { createServer } from './server.ts';

export interface OpenOptions {
  /** As `edgeml_app`. */
  readonly connectionString: string;
  readonly blobs: ArtifactStore;
  /** Folder of the blobs: an audit compares the checkpoints that were published there with the log. */
  readonly blobDir?: string;
  /** Environment of a child process that only reads Postgres; empty without it. */
  readonly childEnv?: Record<string, string>;
  /** Bytes of the secret file, 32 or more. */
  readonly secret: Uint8Array;
  readonly publicUrl: string;
  /** `fleet` without it. */
  readonly deviceAuth?: DeviceAuthMode;
  /** None without it. */
  readonly corsOrigins?: readonly string[];
  /** Requests a minute of one key; no limit without it. */
  readonly rateLimit?: number | undefined;
  readonly maxUploadBytes: number;
  /** What is left out is as in `UPLOAD_LIMITS`. */
  readonly uploads?: Partial<UploadLimits>;
  readonly version: string;
  readonly logger: FastifyBaseLogger;
  /** Notifications besides Postgres's own: they may be missing. */
  readonly onGrowth?: (notify: () => void) => () => void;
  /** What the process must do before any request can be answered; without it, nothing. */
  readonly preparing?: Preparing;
  /** Parts beside Postgres, which this API asks itself. */
  readonly otherParts?: () => Promise<readonly PartState[]>;
}

/** The API listens before the database is prepared, says so, and lets nobody in. */
export interface Preparing {
  /** Resolves once it is done. */
  readonly done: Promise<unknown>;
  /** What it is at, or why it does not get on. */
  state(): PartState;
}

export interface RunningApi {
  /** Listens nowhere yet. */
  readonly app: App;
  readonly keys: KeyStore;
  readonly deps: ApiDeps;
  /** Answers what is under way, then ends every connection. */
  close(): Promise<void>;
}

/** Needs Postgres, with our schema; nothing else. It waits for nothing: what is asked before Postgres answers fails by itself. */
export function openApi(options: OpenOptions): RunningApi {
  const { connectionString, blobs, logger, onGrowth, otherParts, preparing } = options;
  let isPrepared = preparing === undefined;
  void preparing?.done.then(() => (isPrepared = true));
  const stop = new AbortController();
  const pool = createPool({ connectionString, max: 6, name: 'api', waits: 'question' });
  const stops = openStopLane({ connectionString, blobs, logger });
  const watch = createLogWatch(connectionString);
  const pointers = createPointerTable({
    connectionString,
    signal: stop.signal,
    logger,
    after: preparing?.done,
    onGrowth: (notify) => {
      const stops = [watch.onGrowth(notify), onGrowth?.(notify)];
      return () => stops.forEach((one) => one?.());
    },
  });
  const on = queryableOf(pool);
  const store = createEventStore({ connectionString, logger });
  const reads = createReadModels({ connectionString });
  const metrics = createMetrics(options.version, {
    sequencerLagSeconds: () => sequencerLag(on),
    projections: async () => {
      const [head, all] = await Promise.all([store.head(), reads.status()]);
      const lagOf = ({ position, filling }: ReadModelStatus) => Math.max(0, head - (filling ?? position));
      return new Map(all.map((p) => [p.name, { lag: lagOf(p), setAside: p.setAside.count }]));
    },
    relayLags: async () => relayLags(on, await store.head()),
    facts: { head: () => store.head(), on },
  });
  const log = observeLog(store, metrics);
  const forStops = { keys: stops.keys, log: observeLog(stops.log, metrics) };
  const keys = createKeyCache(createKeyStore(pool), connectionString);
  const devices = createDeviceStore(on, (id) => active.changed(id));
  const active = createActiveDevices(devices, pool, connectionString);
  const raised = createRaisedGenerations({
    connectionString,
    tokenMs: TOKEN_TTL_MS,
    stored: devices.generationOf,
    after: preparing?.done,
  });
  const auditor = createAuditor({ connectionString, blobDir: options.blobDir, env: options.childEnv ?? {} });
  const deps: ApiDeps = {
    log,
    commands: createCommandDeps({ log, blobs, pool }),
    blobs,
    inspector: createInspector(),
    keys,
    stops: { ...forStops, commands: { ...stops.commands, log: forStops.log } },
    orgs: createOrgStore(on),
    federations: createFederationStore(on),
    links: createLinks(options.secret, options.publicUrl),
    cursors: createCursors(options.secret),
    reads,
    pointers,
    telemetry: createTelemetryReader(on),
    devices,
    active,
    deviceAuth: { mode: options.deviceAuth ?? 'fleet', tokens: createDeviceTokens(options.secret), raised },
    fleetSize: createFleetSize(async (orgId) => (await devices.listDevices(orgId, { limit: 0, offset: 0 })).total),
    reports: createReportQueue(on),
    canaryCounts: createCanaryCounts(on),
    watch,
    readModels: rebuildable({ connectionString, log: store, logger, reads }),
    verify: auditor.verify,
    checkpoint: () => newestCheckpoint(pool),
    metrics,
    starting: () => (isPrepared ? undefined : preparing?.state()),
    async parts() {
      const starting = deps.starting();
      if (starting) return [starting];
      const postgres = await askPostgres(deps);
      const others = (await otherParts?.()) ?? [];
      // Without Postgres there is nothing to read, and each question would wait in vain.
      if (postgres.state === 'down') return [postgres, ...others];
      return [postgres, ...others, ...(await readParts(() => partsInDatabase(on, reads, deps.pointers)))];
    },
    publicUrl: options.publicUrl,
    corsOrigins: options.corsOrigins ?? [],
    rateLimit: options.rateLimit,
    maxUploadBytes: options.maxUploadBytes,
    uploads: createUploads({ ...UPLOAD_LIMITS, ...options.uploads }),
    version: options.version,
  };
  const app = createServer(deps, logger);
  return {
    app,
    keys,
    deps,
    async close() {
      auditor.close(); // its answer is under way, and would be for minutes
      await app.close();
      stop.abort();
      await pointers.done;
      await Promise.all([
        watch.close(),
        log.close(),
        reads.close(),
        stops.close(),
        keys.close(),
        active.close(),
        raised.close(),
      ]);
      await pool.end();
    },
  };
}

/** How many facts each relay has not handed on. */
async function relayLags(on: Queryable, head: number): Promise<Map<string, number>> {
  return new Map([...(await relayCursors(on))].map(([relay, at]) => [relay, Math.max(0, head - at)]));
}

/** Parts that cannot be read now do not make the service unready. */
async function readParts(read: () => Promise<PartState[]>): Promise<PartState[]> {
  try {
    return await within(PROBE_MS, 'Postgres', read());
  } catch (error) {
    return [{ name: 'parts', state: 'degraded', detail: error instanceof Error ? error.message : 'no answer' }];
  }
}

async function askPostgres({ log }: Pick<ApiDeps, 'log'>): Promise<PartState> {
  try {
    return { name: 'postgres', state: 'ok', detail: `head ${await within(PROBE_MS, 'Postgres', log.head())}` };
  } catch (error) {
    return { name: 'postgres', state: 'down', detail: error instanceof Error ? error.message : 'no answer' };
  }
}
