/**
 * The service process: config → connections → parts. Any number may run; leaders elect themselves. With `--rebase` or
 * `--accept-loss` it does that one thing and ends.
 */
import { connect } from 'node:net';
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import type { Logger } from 'pino';
import type { PartState } from './api/context.ts';
import { openDoor, type Preparing } from './api/open.ts';
import { driverEnvironment, readConfig, type Config } from './config.ts';
import { createLogger } from './logger.ts';
import { startProjections } from './projections/runner.ts';
import { runCheckpoints } from './relay/checkpoints.ts';
import { runNatsRelay, subscribeDoorbell } from './relay/nats.ts';
import { runSequencer } from './relay/sequencer.ts';
import { runTemporalRelay } from './relay/temporal.ts';
import { createFileStore } from './store/artifacts/fileStore.ts';
import { createNamedFiles } from './store/artifacts/namedStore.ts';
import { createPool } from './store/connect.ts';
import { createKeyStore } from './store/keys/keyStore.ts';
import { acceptLoss } from './store/ledger/acceptLoss.ts';
import { createPublished } from './store/ledger/published.ts';
import { createEventStore } from './store/log/postgresEventStore.ts';
import { createOrgStore } from './store/orgs/orgStore.ts';
import { queryableOf } from './store/queryable.ts';
import { migrate, shippedMigrations } from './store/migrate.ts';
import { pause } from './store/pause.ts';
import { rebase } from './store/rebase.ts';

const PARTS = ['api', 'sequencer', 'relay', 'projections'] as const;
type Part = (typeof PARTS)[number];
const RETRY_MS = 1_000;

/** What a part gets to run until `signal` aborts. */
interface Service {
  readonly config: Config;
  readonly signal: AbortSignal;
  readonly logger: Logger;
  readonly bell: ReturnType<typeof createBells>;
}

/** Names after `--run`, comma-separated; all without it. @throws Error for a part there is not */
function partsOf(run: string | undefined): ReadonlySet<Part> {
  const names = run === undefined ? PARTS : run.split(',').map((name) => name.trim());
  const known = names.filter((name): name is Part => PARTS.some((part) => part === name));
  if (known.length === names.length) return new Set(known);
  throw new Error(`--run takes ${PARTS.join(', ')}, comma-separated; not ${JSON.stringify(run)}.`);
}

/** Tries until it works or `signal` aborts; says each new reason once. */
async function persist<T>(
  { signal, logger }: Pick<Service, 'signal' | 'logger'>,
  what: string,
  attempt: () => Promise<T>,
  onFail: (why: string) => void = () => undefined,
): Promise<T | undefined> {
  let told = '';
  while (!signal.aborted) {
    try {
      return await attempt();
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      if (why !== told) logger.warn({ part: what, why }, 'does not work yet; trying again every second');
      told = why;
      onFail(why);
      await pause(RETRY_MS, signal);
    }
  }
  return undefined;
}

type Ring = (logIndex?: number) => void;

/** One NATS subscription for everybody in this process. */
function createBells() {
  const rings = new Set<Ring>();
  return {
    ring: (logIndex?: number) => rings.forEach((ring) => ring(logIndex)),
    subscribe(ring: Ring): () => void {
      rings.add(ring);
      return () => void rings.delete(ring);
    },
  };
}

/** @throws Error where the schema is older than this build and nobody may migrate it */
async function prepareDatabase({ database }: Config): Promise<void> {
  if (database.migrateUrl !== undefined) return migrate({ migrateUrl: database.migrateUrl, appUrl: database.url });
  const pool = createPool({ connectionString: database.url, max: 1, name: 'schema check' });
  try {
    const { rows } = await pool.query<{ name: string }>('SELECT name FROM store.migrations');
    const applied = new Set(rows.map((r) => r.name));
    const missing = shippedMigrations().filter((m) => !applied.has(m.name));
    if (missing.length === 0) return;
    throw new Error(
      `the schema lacks ${missing.map((m) => m.name).join(', ')}; set DATABASE_MIGRATE_URL, or migrate it first`,
    );
  } finally {
    await pool.end();
  }
}

/** The first admin, from a file that the operator wrote. */
async function ensureBootstrapKey({ database, bootstrapKeyFile, org }: Config): Promise<void> {
  if (bootstrapKeyFile === undefined) return;
  const pool = createPool({ connectionString: database.url, max: 1, name: 'bootstrap' });
  try {
    await createOrgStore(queryableOf(pool)).ensure(org);
    await createKeyStore(pool).ensureBootstrap(readFileSync(bootstrapKeyFile, 'utf8').trim(), org);
  } finally {
    await pool.end();
  }
}

const publishedOf = ({ blobDir }: Config) => createPublished(createNamedFiles(blobDir));

function runSequencing({ config, signal, logger }: Service): Promise<unknown> {
  const connectionString = config.database.url;
  return Promise.all([
    runSequencer({ connectionString, signal, log: logger, published: publishedOf(config) }),
    runCheckpoints({ connectionString, signal, logger, published: publishedOf(config) }),
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

async function runProjections({ config, signal, logger, bell }: Service): Promise<void> {
  const connectionString = config.database.url;
  const log = createEventStore({ connectionString, logger });
  await startProjections({ connectionString, log, doorbell: bell.subscribe, signal, logger }).done;
  await log.close();
}

/** Prepares the database and the first key: at once, and again until it works. */
function prepare(service: Service): Preparing {
  const { config } = service;
  let state: PartState = {
    name: 'database',
    state: 'starting',
    detail: 'is being brought to the schema of this release',
  };
  const attempt = async () => {
    await prepareDatabase(config);
    await ensureBootstrapKey(config);
  };
  const done = persist(service, 'database', attempt, (detail) => (state = { name: 'database', state: 'down', detail }));
  return { done, state: () => state };
}

async function runApi(service: Service, preparing: Preparing): Promise<void> {
  const { config, signal, logger, bell } = service;
  const { http, secretFile } = config;
  if (secretFile === undefined) {
    throw new Error('EDGEML_SECRET_FILE is required to serve the API: 32 random bytes (head -c 32 /dev/urandom).');
  }
  const door = await persist(service, 'api', async () =>
    openDoor({
      connectionString: config.database.url,
      blobs: createFileStore(config.blobDir),
      blobDir: config.blobDir,
      childEnv: driverEnvironment(),
      secret: readFileSync(secretFile),
      publicUrl: http.publicUrl,
      maxUploadBytes: config.maxUploadBytes,
      version: versionOfBuild(),
      logger,
      doorbell: bell.subscribe,
      preparing,
      otherParts: () =>
        Promise.all([askPort('nats', new URL(config.nats.url).host), askPort('temporal', config.temporal.address)]),
    }),
  );
  if (!door) return;
  try {
    await door.app.listen({ host: http.host, port: http.port });
    logger.info({ url: http.publicUrl }, 'listening');
    await new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
  } finally {
    await door.close();
  }
}

function versionOfBuild(): string {
  const text = readFileSync(new URL('./package.json', import.meta.url), 'utf8');
  const { version } = JSON.parse(text) as { version: string }; // our own file, which npm requires to have one
  return version;
}

const ANSWER_MS = 500;

/** Whether something accepts connections at `host:port`. Stopping works without it, so it is never more than degraded. */
function askPort(name: string, address: string): Promise<PartState> {
  const [, host = '', port = ''] = /^(.*):(\d+)$/.exec(address) ?? [];
  return new Promise((resolve) => {
    const socket = connect({ host: host.replace(/[[\]]/g, ''), port: Number(port) });
    const settle = (state: PartState) => {
      socket.destroy();
      resolve(state);
    };
    socket.setTimeout(ANSWER_MS, () => settle({ name, state: 'degraded', detail: `${address} does not answer` }));
    socket.once('connect', () => settle({ name, state: 'ok' }));
    socket.once('error', (error) => settle({ name, state: 'degraded', detail: error.message }));
  });
}

/** What needs the database to be prepared. */
const RUN: Readonly<Record<Exclude<Part, 'api'>, (service: Service) => Promise<unknown>>> = {
  sequencer: runSequencing,
  relay: runRelays,
  projections: runProjections,
};

async function serve(parts: ReadonlySet<Part>, config: Config, logger: Logger): Promise<void> {
  const stop = new AbortController();
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => stop.abort());
  const service: Service = { config, signal: stop.signal, logger, bell: createBells() };
  const preparing = prepare(service);
  const run = async (part: Part): Promise<void> => {
    if (part === 'api') return runApi(service, preparing);
    await preparing.done;
    await RUN[part](service);
  };
  const bells = subscribeDoorbell({ natsUrl: config.nats.url, signal: stop.signal, onBell: service.bell.ring });
  try {
    await Promise.all([...parts].map(run));
  } catch (error) {
    // What cannot work at all, such as a port that is taken or a secret that is missing.
    logger.fatal({ err: error }, 'the service cannot run');
    process.exitCode = 1;
  } finally {
    stop.abort();
    await bells;
    logger.info({}, 'stopped');
  }
}

/** Says what it did, in a sentence. Servers may run meanwhile: the one that stands goes on by itself. @throws as Postgres does */
async function rebaseOnce({ database: { migrateUrl } }: Config): Promise<string> {
  if (migrateUrl === undefined)
    throw new Error('--rebase needs DATABASE_MIGRATE_URL: it acts as the owner of the log.');
  const done = await rebase(migrateUrl);
  if (done.outcome === 'same_cluster') {
    return `Nothing to do: the database is in the cluster where the sequencer left it (era ${done.era}).`;
  }
  const { era, firstIndex, placed } = done;
  const tail =
    placed === 0 ? 'no fact was waiting' : `${placed} waiting, now at ${firstIndex} to ${firstIndex + placed - 1}`;
  return `Re-based: era ${era} begins; facts without a log index: ${tail}.`;
}

/** Says what it did. Every server and worker is to be ended before, since they hold in memory what is lost. @throws as Postgres does */
async function acceptLossOnce(config: Config): Promise<string> {
  const { migrateUrl } = config.database;
  if (migrateUrl === undefined)
    throw new Error('--accept-loss needs DATABASE_MIGRATE_URL: it acts as the owner of the log.');
  const done = await acceptLoss(migrateUrl, publishedOf(config));
  if (done.outcome === 'no_fork')
    return `Nothing to do: the log fits its newest published checkpoint (${done.origin}).`;
  const { published, size } = done.fork;
  return (
    `Accepted: checkpoints up to ${published.size} facts were published, the log holds ${size}, and the two agree up to ` +
    `${done.keptSize} at least. It goes on as ${done.origin}; the old checkpoints stay as evidence. Start the servers and workers.`
  );
}

const { values } = parseArgs({
  options: {
    run: { type: 'string' },
    rebase: { type: 'boolean', default: false },
    'accept-loss': { type: 'boolean', default: false },
  },
});
const parts = partsOf(values.run);
const config = readConfig();
if (values.rebase) process.stdout.write(`${await rebaseOnce(config)}\n`);
else if (values['accept-loss']) process.stdout.write(`${await acceptLossOnce(config)}\n`);
else await serve(parts, config, createLogger('server', config.logLevel));
