/**
 * The parts that follow the log, in the process that `server.ts` starts for them: its argument names them. It ends when it is told to, and
 * when its parent is gone; what throws here ends both. It begins with the first message: the database has the schema of this build.
 */
import { once } from 'node:events';
import { readConfig, type Config } from './config.ts';
import { createLogger } from './logger.ts';
import { startProjections } from './projections/runner.ts';
import { runCheckpoints } from './relay/checkpoints.ts';
import { runNatsRelay } from './relay/nats.ts';
import { runSequencer } from './relay/sequencer.ts';
import { shareGrowth } from './relay/sharedGrowth.ts';
import { runTemporalRelay } from './relay/temporal.ts';
import { createNamedFiles } from './store/artifacts/namedStore.ts';
import { createPublished } from './store/ledger/published.ts';
import { createEventStore } from './store/log/postgresEventStore.ts';

interface Service {
  readonly config: Config;
  readonly signal: AbortSignal;
  readonly logger: ReturnType<typeof createLogger>;
}

async function runSequencing({ config, signal, logger }: Service): Promise<void> {
  const connectionString = config.database.url;
  const published = createPublished(createNamedFiles(config.blobDir));
  await Promise.all([
    runSequencer({ connectionString, signal, log: logger, published }),
    runCheckpoints({ connectionString, signal, logger, published }),
  ]);
}

async function runRelays({ config, signal, logger }: Service): Promise<void> {
  const connectionString = config.database.url;
  const log = createEventStore({ connectionString, logger });
  const { temporal } = config;
  await Promise.all([
    runNatsRelay({ log, connectionString, natsUrl: config.nats.url, source: config.http.publicUrl, signal, logger }),
    runTemporalRelay({ log, connectionString, temporal, taskQueue: temporal.taskQueue, signal, logger }),
  ]);
  await log.close();
}

async function runProjections({ config, signal, logger }: Service): Promise<void> {
  const connectionString = config.database.url;
  const log = createEventStore({ connectionString, logger });
  const growth = shareGrowth({ natsUrl: config.nats.url, signal });
  await startProjections({ connectionString, log, onGrowth: growth.subscribe, signal, logger }).done;
  await growth.done;
  await log.close();
}

const RUN = { sequencer: runSequencing, relay: runRelays, projections: runProjections };
export type Follower = keyof typeof RUN;

async function follow(parts: readonly Follower[]): Promise<void> {
  const config = readConfig();
  const stop = new AbortController();
  // A signal to the whole process group ends this one, too; the parent leaves by disconnecting.
  for (const name of ['SIGTERM', 'SIGINT', 'disconnect'] as const) process.once(name, () => stop.abort());
  if (!process.connected) stop.abort(); // the parent was gone before we listened
  await once(process, 'message', stop).catch(() => undefined); // told to end before it began
  const service: Service = { config, signal: stop.signal, logger: createLogger('server', config.logLevel) };
  await Promise.all(parts.map((part) => RUN[part](service)));
  if (process.connected) process.disconnect();
}

await follow((process.argv[2] ?? '').split(',') as Follower[]); // only `server.ts` starts this
