/**
 * The service process: config → connections → parts. Any number may run; leaders elect themselves. With `--rebase` or
 * `--accept-loss` it does that one thing and ends.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { parseArgs } from 'node:util';
import type { Logger } from 'pino';
import type { PartState } from './api/context.ts';
import { openApi, type Preparing } from './api/open.ts';
import { readConfig, type Config } from './config.ts';
import { driverEnvironment } from './environment.ts';
import type { Follower } from './followers.ts';
import { createLogger } from './logger.ts';
import { shareGrowth } from './relay/sharedGrowth.ts';
import { createFileStore } from './store/artifacts/fileStore.ts';
import { createNamedFiles } from './store/artifacts/namedStore.ts';
import { createPool } from './store/connect.ts';
import { createKeyStore } from './store/keys/keyStore.ts';
import { acceptLoss } from './store/ledger/acceptLoss.ts';
import { createPublished } from './store/ledger/published.ts';
import { createOrgStore } from './store/orgs/orgStore.ts';
import { queryableOf } from './store/queryable.ts';
import { migrate, missingMigrations } from './store/migrate.ts';
import { retrying } from './store/retrying.ts';
import { scriptBeside } from './store/script.ts';
import { rebase } from './store/rebase.ts';

const FOLLOWERS = ['sequencer', 'relay', 'projections'] as const satisfies readonly Follower[];
const PARTS = ['api', ...FOLLOWERS] as const;
/** A process each: read models would wait behind the sequencer's backlog, and both would let devices wait. */
const PROCESSES: readonly (readonly Follower[])[] = [['sequencer', 'relay'], ['projections']];
type Part = (typeof PARTS)[number];
const RETRY_MS = 1_000;

/** What a part gets to run until `signal` aborts. */
interface Service {
  readonly config: Config;
  readonly signal: AbortSignal;
  readonly logger: Logger;
}

/** Names after `--run`, comma-separated; all without it. @throws Error for a part there is not */
function partsOf(run: string | undefined): ReadonlySet<Part> {
  const names = run === undefined ? PARTS : run.split(',').map((name) => name.trim());
  const known = names.filter((name): name is Part => PARTS.some((part) => part === name));
  if (known.length === names.length) return new Set(known);
  throw new Error(`--run takes ${PARTS.join(', ')}, comma-separated; not ${JSON.stringify(run)}.`);
}

/** Tries every second until it works or the service ends. */
const persist = <T>(
  { signal, logger }: Pick<Service, 'signal' | 'logger'>,
  part: string,
  attempt: () => Promise<T>,
  onFail: (why: string) => void = () => undefined,
): Promise<T | undefined> => {
  const message = 'does not work yet; trying again every second';
  return retrying({ signal, logger, everyMs: RETRY_MS, fields: { part }, message, onFail }, attempt);
};

/** @throws Error where the schema is older than this build and nobody may migrate it */
async function prepareDatabase({ database }: Config): Promise<void> {
  if (database.migrateUrl !== undefined) return migrate({ migrateUrl: database.migrateUrl, appUrl: database.url });
  const pool = createPool({ connectionString: database.url, max: 1, name: 'schema check' });
  try {
    const missing = await missingMigrations(queryableOf(pool));
    if (missing.length === 0) return;
    throw new Error(`the schema lacks ${missing.join(', ')}; set DATABASE_MIGRATE_URL, or migrate it first`);
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
  const { config, signal, logger } = service;
  const { http, secretFile } = config;
  if (secretFile === undefined) {
    throw new Error('EDGEML_SECRET_FILE is required to serve the API: 32 random bytes (head -c 32 /dev/urandom).');
  }
  const blobs = createFileStore(config.blobDir);
  void blobs.sweep().catch((error: unknown) => logger.warn({ err: error }, 'the blob folder cannot be swept'));
  const growth = shareGrowth({ natsUrl: config.nats.url, signal });
  const api = await persist(service, 'api', async () =>
    openApi({
      connectionString: config.database.url,
      blobs,
      blobDir: config.blobDir,
      childEnv: driverEnvironment(),
      secret: readFileSync(secretFile),
      publicUrl: http.publicUrl,
      deviceAuth: config.deviceAuth,
      corsOrigins: http.corsOrigins,
      rateLimit: config.rateLimit,
      maxUploadBytes: config.maxUploadBytes,
      uploads: config.uploads,
      version: versionOfBuild(),
      logger,
      onGrowth: growth.subscribe,
      preparing,
      otherParts: () =>
        Promise.all([askPort('nats', new URL(config.nats.url).host), askPort('temporal', config.temporal.address)]),
    }),
  );
  if (!api) return;
  try {
    await api.app.listen({ host: http.host, port: http.port });
    logger.info({ url: http.publicUrl }, 'listening');
    await new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
  } finally {
    await api.close();
    await growth.done;
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

/**
 * The parts that follow the log have a process of their own: with a backlog they work for minutes, and a device or a stop does not wait
 * behind them. Resolves when it has ended because `signal` aborted; it also ends with this process, however that ends.
 *
 * @throws Error where it ended otherwise
 */
async function runFollowers(parts: readonly Follower[], preparing: Preparing, signal: AbortSignal): Promise<void> {
  if (parts.length === 0) return;
  const { path, execArgv } = scriptBeside(import.meta.url, 'followers');
  const child = fork(path, [parts.join()], { execArgv: [...execArgv] });
  void preparing.done.then(() => child.connected && child.send('prepared'));
  const stop = () => void (child.connected && child.disconnect());
  signal.addEventListener('abort', stop, { once: true });
  const [code, by] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
  if (!signal.aborted) throw new Error(`the process of ${parts.join(', ')} ended with ${by ?? `code ${String(code)}`}`);
}

async function serve(parts: ReadonlySet<Part>, config: Config, logger: Logger): Promise<void> {
  const stop = new AbortController();
  const { signal } = stop;
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => stop.abort());
  const service: Service = { config, signal, logger };
  const preparing = prepare(service);
  const followers = PROCESSES.map((all) => all.filter((part) => parts.has(part)));
  try {
    await Promise.all([
      parts.has('api') ? runApi(service, preparing) : undefined,
      ...followers.map((some) => runFollowers(some, preparing, signal)),
    ]);
  } catch (error) {
    // What cannot work at all, such as a port that is taken or a secret that is missing.
    logger.fatal({ err: error }, 'the service cannot run');
    process.exitCode = 1;
  } finally {
    stop.abort();
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
