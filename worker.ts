/** The worker process: config, connections, activities, run, shut down. No logic. Any number may run. */
import { connectWorker, installRuntime } from './activities/temporalRuntime.ts';
import { createOnnxRuntime } from './activities/runtimes/onnxRuntime.ts';
import { bundleWorkflows, runWorker } from './activities/runWorker.ts';
import type { ActivityDeps } from './activities/deps.ts';
import { createCommandDeps } from './commands/createDeps.ts';
import { readConfig, type Config } from './config.ts';
import { createLogger } from './logger.ts';
import { createFileStore } from './store/artifacts/fileStore.ts';
import { createPool } from './store/connect.ts';
import { createEventStore } from './store/log/postgresEventStore.ts';
import { createNoticeStore } from './store/notices/noticeTable.ts';
import { queryableOf } from './store/queryable.ts';
import { createEvidenceReader } from './store/telemetry/evidenceReader.ts';
import { retrying } from './store/retrying.ts';
import { createTelemetryReader } from './store/telemetry/telemetryReader.ts';

const RECONNECT_MS = 1_000;

const config = readConfig();
const logger = createLogger('worker', config.logLevel);
installRuntime(logger, config.workerMetricsPort, config.http.host);

const stop = new AbortController();
for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => stop.abort());

function openStores({ database, blobDir }: Config): { deps: ActivityDeps; close(): Promise<void> } {
  const log = createEventStore({ connectionString: database.url, logger });
  const pool = createPool({ connectionString: database.url, max: 6, name: 'worker' });
  const on = queryableOf(pool);
  return {
    deps: {
      commands: createCommandDeps({ log, blobs: createFileStore(blobDir), pool }),
      notices: createNoticeStore(on),
      telemetry: createTelemetryReader(on),
      evidence: createEvidenceReader(on),
      runtime: createOnnxRuntime(),
      logger,
    },
    close: async () => {
      await log.close();
      await pool.end();
    },
  };
}

const { deps, close } = openStores(config);
const bundle = await bundleWorkflows();
const message = 'Temporal is not there; trying again every second';
while (!stop.signal.aborted) {
  await retrying({ signal: stop.signal, logger, everyMs: RECONNECT_MS, message }, async (works) => {
    const connection = await connectWorker(config.temporal);
    try {
      const { namespace, taskQueue } = config.temporal;
      const onReady = () => logger.info({ address: config.temporal.address, taskQueue }, 'working');
      works();
      await runWorker(deps, { connection, namespace, taskQueue, bundle, signal: stop.signal, onReady });
    } finally {
      await connection.close();
    }
  });
}
await close();
logger.info({}, 'stopped');
