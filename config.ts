/** What the server and the worker are told from outside. Processes read it and hand values on; everything else gets values. */
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { MAIN_QUEUE } from './domain/events/processes.ts';
import { asOrgId, ORG_ID_RULE, parseOrgId, type OrgId } from './domain/org.ts';
import { processEnvironment, variable, type Environment } from './environment.ts';

export interface Config {
  readonly database: { readonly url: string; readonly migrateUrl?: string };
  readonly nats: { readonly url: string };
  readonly temporal: {
    readonly address: string;
    readonly namespace: string;
    readonly taskQueue: string;
    readonly apiKey?: string;
    readonly tls: boolean;
  };
  /** `publicUrl` has no trailing slash. Signed links and SDKs use it. */
  readonly http: {
    readonly host: string;
    readonly port: number;
    readonly publicUrl: string;
    /** Origins whose scripts may read answers, or `*` alone. */
    readonly corsOrigins: readonly string[];
  };
  readonly home: string;
  readonly blobDir: string;
  readonly bootstrapKeyFile?: string;
  readonly secretFile?: string;
  readonly org: OrgId;
  /** Who speaks for a registered device: a key of its organisation too, or its own token alone. */
  readonly deviceAuth: 'fleet' | 'device';
  readonly logLevel: LogLevel;
  /** Requests a minute of one key; no limit without it. */
  readonly rateLimit?: number;
  readonly maxUploadBytes: number;
  /** Of one server: bodies under way, and their bytes together. */
  readonly uploads: { readonly bytes: number; readonly count: number };
  readonly workerMetricsPort?: number;
}

const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Collects every fault before it refuses, so that one start shows all of them. Values never reach the text: they may be secrets. */
class Faults {
  readonly #lines: string[] = [];

  add(name: string, expected: string): undefined {
    this.#lines.push(`${name}: ${expected}`);
    return undefined;
  }

  refuse(): void {
    if (this.#lines.length === 0) return;
    const lines = this.#lines.map((line) => `\n  - ${line}`).join('');
    throw new Error(`The configuration is refused.${lines}\nEvery variable is described in .env.example.`);
  }
}

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[?::1\]?)$/i;

/** Whether a host name can only mean this machine. */
export function isLoopbackHost(host: string): boolean {
  return LOOPBACK.test(host);
}

function url(faults: Faults, env: Environment, name: string, schemes: readonly string[], more = ''): URL | undefined {
  const value = variable(env, name);
  if (value === undefined) return faults.add(name, `is required, such as ${schemes[0]}//host:port`);
  if (!URL.canParse(value) || !schemes.includes(new URL(value).protocol)) {
    return faults.add(name, `must be a URL that begins with ${schemes.join(' or ')}//${more}`);
  }
  return new URL(value);
}

function integer(
  faults: Faults,
  env: Environment,
  name: string,
  range: [min: number, max: number],
): number | undefined {
  const value = variable(env, name);
  if (value === undefined) return undefined;
  if (/^\d+$/.test(value) && Number(value) >= range[0] && Number(value) <= range[1]) return Number(value);
  return faults.add(name, `must be an integer from ${range[0]} to ${range[1]}`);
}

/**
 * A database's address and the user it names. The password may come in a variable of its own, as it is: there every character may
 * be in it, whereas in an address `/`, `?`, `#`, `@` and `%` mean something else unless they are percent-encoded.
 */
function databaseUrl(faults: Faults, env: Environment, name: string, passwordName: string) {
  const found = url(
    faults,
    env,
    name,
    ['postgresql:', 'postgres:'],
    `, its password percent-encoded or in ${passwordName}`,
  );
  if (!found) return undefined;
  let user: string;
  try {
    user = decodeURIComponent(found.username);
    decodeURIComponent(found.password);
  } catch {
    return faults.add(name, `has a % that begins no escape: write it as %25, or give the password in ${passwordName}`);
  }
  const password = env[passwordName];
  if (!password) return { user, url: variable(env, name) ?? '' };
  found.password = encodeURIComponent(password);
  return { user, url: found.href };
}

function readDatabase(faults: Faults, env: Environment): Config['database'] {
  const app = databaseUrl(faults, env, 'DATABASE_URL', 'DATABASE_PASSWORD');
  if (app && app.user !== 'edgeml_app') {
    faults.add('DATABASE_URL', 'must name the user edgeml_app, the role that cannot change events');
  }
  const isGiven = variable(env, 'DATABASE_MIGRATE_URL') !== undefined;
  const migrate = isGiven ? databaseUrl(faults, env, 'DATABASE_MIGRATE_URL', 'DATABASE_MIGRATE_PASSWORD') : undefined;
  if (migrate?.user === 'edgeml_app') {
    faults.add('DATABASE_MIGRATE_URL', 'must name a login that may create roles, never edgeml_app itself');
  }
  return { url: app?.url ?? '', ...(migrate ? { migrateUrl: migrate.url } : {}) };
}

function readTemporal(faults: Faults, env: Environment): Config['temporal'] {
  const address = variable(env, 'TEMPORAL_ADDRESS') ?? '';
  const host = /^(.+):\d{1,5}$/.exec(address)?.[1];
  if (host === undefined) faults.add('TEMPORAL_ADDRESS', 'is required, as host:port');
  const tls = variable(env, 'TEMPORAL_TLS');
  if (tls !== undefined && tls !== 'on' && tls !== 'off') faults.add('TEMPORAL_TLS', 'must be on or off');
  const apiKey = variable(env, 'TEMPORAL_API_KEY');
  if (host !== undefined && !isLoopbackHost(host)) {
    if (apiKey !== undefined && tls === 'off') {
      faults.add('TEMPORAL_TLS', 'is off, so TEMPORAL_API_KEY would travel in the clear; take one of the two away');
    }
    if (apiKey === undefined && tls === undefined) {
      faults.add(
        'TEMPORAL_ADDRESS',
        'is another machine, reached without TLS or an API key. Set TEMPORAL_TLS=on or TEMPORAL_API_KEY; on a private ' +
          'network that you trust, say so with TEMPORAL_TLS=off',
      );
    }
  }
  return {
    address,
    namespace: variable(env, 'TEMPORAL_NAMESPACE') ?? 'default',
    taskQueue: variable(env, 'TEMPORAL_TASK_QUEUE') ?? MAIN_QUEUE,
    ...(apiKey === undefined ? {} : { apiKey }),
    tls: tls === 'on' || (apiKey !== undefined && tls !== 'off'),
  };
}

function readHttp(faults: Faults, env: Environment): Config['http'] {
  const host = variable(env, 'HTTP_HOST') ?? '127.0.0.1';
  const port = integer(faults, env, 'HTTP_PORT', [1, 65_535]) ?? 7400;
  const shown = isLoopbackHost(host) && host.includes(':') ? `[${host.replace(/[[\]]/g, '')}]` : host;
  if (variable(env, 'PUBLIC_URL') !== undefined) url(faults, env, 'PUBLIC_URL', ['https:', 'http:']);
  const publicUrl = (variable(env, 'PUBLIC_URL') ?? `http://${shown}:${port}`).replace(/\/+$/, '');
  return { host, port, publicUrl, corsOrigins: readOrigins(faults, env) };
}

/** As a browser sends them: scheme, host and port, nothing after them. */
function readOrigins(faults: Faults, env: Environment): string[] {
  const name = 'EDGEML_CORS_ORIGINS';
  const origins = (variable(env, name) ?? '')
    .split(',')
    .map((one) => one.trim())
    .filter((one) => one !== '');
  if (origins.length === 1 && origins[0] === '*') return origins;
  for (const one of origins) {
    if (one === '*') return faults.add(name, 'is * alone, or a list of origins') ?? [];
    if (URL.canParse(one) && /^https?:$/.test(new URL(one).protocol) && new URL(one).origin === one) continue;
    return faults.add(name, 'must be origins such as https://console.example, comma-separated, without a path') ?? [];
  }
  return origins;
}

function checkBootstrapKey(faults: Faults, file: string, http: Config['http']): void {
  const name = 'EDGEML_BOOTSTRAP_KEY_FILE';
  let key: string;
  try {
    key = readFileSync(file, 'utf8').trim();
  } catch {
    return faults.add(name, 'names a file that cannot be read');
  }
  if (key.length < 32 || /\s/.test(key))
    faults.add(name, 'must hold one key of 32 characters or more and nothing else');
  const exposed =
    !isLoopbackHost(http.host) || (URL.canParse(http.publicUrl) && !isLoopbackHost(new URL(http.publicUrl).hostname));
  if (key.startsWith('ek_test_') && exposed) {
    faults.add(
      name,
      'holds an ek_test_ key, which works on loopback only; with this HTTP_HOST or PUBLIC_URL use ek_live_',
    );
  }
}

function readOrg(faults: Faults, env: Environment): OrgId {
  const wanted = parseOrgId(variable(env, 'EDGEML_ORG') ?? 'org_local');
  if (wanted !== undefined) return wanted;
  faults.add('EDGEML_ORG', `must be ${ORG_ID_RULE}`);
  return asOrgId('org_local'); // never used: the fault ends the process
}

function checkSecret(faults: Faults, file: string): void {
  try {
    if (readFileSync(file).length >= 32) return;
    faults.add('EDGEML_SECRET_FILE', 'must hold 32 random bytes (head -c 32 /dev/urandom)');
  } catch {
    faults.add('EDGEML_SECRET_FILE', 'names a file that cannot be read');
  }
}

/**
 * Everything the server and the worker are told from outside, checked. `migrateUrl` present: the server migrates at boot; absent:
 * it refuses an old schema.
 *
 * @throws Error that lists every fault at once, and no value of a variable
 */
export function readConfig(env: Environment = processEnvironment()): Config {
  const faults = new Faults();
  const home = resolve(variable(env, 'EDGEML_HOME') ?? '.edgeml');
  const http = readHttp(faults, env);
  const bootstrapKeyFile = variable(env, 'EDGEML_BOOTSTRAP_KEY_FILE');
  if (bootstrapKeyFile !== undefined) checkBootstrapKey(faults, bootstrapKeyFile, http);
  const secretFile = variable(env, 'EDGEML_SECRET_FILE');
  if (secretFile !== undefined) checkSecret(faults, secretFile);
  const level = variable(env, 'LOG_LEVEL') ?? 'info';
  const logLevel = LOG_LEVELS.find((known) => known === level) ?? 'info';
  if (logLevel !== level) faults.add('LOG_LEVEL', `must be one of ${LOG_LEVELS.join(', ')}`);
  const deviceAuth = variable(env, 'EDGEML_DEVICE_AUTH') ?? 'fleet';
  if (deviceAuth !== 'fleet' && deviceAuth !== 'device') faults.add('EDGEML_DEVICE_AUTH', 'must be fleet or device');
  const database = readDatabase(faults, env);
  url(faults, env, 'NATS_URL', ['nats:', 'tls:']);
  const temporal = readTemporal(faults, env);
  const workerMetricsPort = integer(faults, env, 'WORKER_METRICS_PORT', [1, 65_535]);
  const org = readOrg(faults, env);
  const rateLimit = integer(faults, env, 'EDGEML_RATE_LIMIT', [1, 1_000_000]);
  const maxUploadBytes = integer(faults, env, 'MAX_UPLOAD_BYTES', [1024, 2 ** 40]) ?? 256 * 1024 * 1024;
  const uploads = {
    bytes: integer(faults, env, 'EDGEML_UPLOAD_BUDGET_BYTES', [1024, 2 ** 40]) ?? 256 * 1024 * 1024,
    count: integer(faults, env, 'EDGEML_UPLOADS_AT_ONCE', [1, 10_000]) ?? 64,
  };
  faults.refuse();
  return {
    database,
    nats: { url: variable(env, 'NATS_URL') ?? '' },
    temporal,
    http,
    home,
    blobDir: resolve(variable(env, 'EDGEML_BLOB_DIR') ?? join(home, 'blobs')),
    ...(bootstrapKeyFile === undefined ? {} : { bootstrapKeyFile }),
    ...(secretFile === undefined ? {} : { secretFile }),
    org,
    deviceAuth: deviceAuth === 'device' ? 'device' : 'fleet',
    logLevel,
    ...(rateLimit === undefined ? {} : { rateLimit }),
    maxUploadBytes,
    uploads,
    ...(workerMetricsPort === undefined ? {} : { workerMetricsPort }),
  };
}
