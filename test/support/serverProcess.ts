/** `server.ts` as a process of its own, on a database of the file's, with NATS and Temporal away unless an address is given. */
import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from '../contract/testApi.ts';
import { until } from './log.ts';
import { testHome, type TestDatabase } from './services.ts';

/** Nobody listens there. */
const NOWHERE = '127.0.0.1:9';
const PATIENCE_MS = 40_000;

export interface ServerProcess {
  readonly url: string;
  /** The admin's. */
  readonly key: string;
  readonly home: string;
  readonly blobDir: string;
  readonly child: ChildProcess;
  /** What it and its followers have printed. */
  output(): string;
  /** As `until`, with its words where it waits in vain; what throws is not so yet. */
  soon(what: string, isSo: () => Promise<boolean>): Promise<void>;
  ask(method: string, path: string, body?: unknown, headers?: Readonly<Record<string, string>>): Promise<Response>;
}

/** Returns once it listens. The caller kills it. */
export async function startServer(
  { appUrl, migrateUrl }: TestDatabase,
  {
    natsUrl = `nats://${NOWHERE}`,
    home = testHome('server'),
    env = {},
  }: {
    readonly natsUrl?: string;
    /** Of an earlier server, to start again, or of one to stand beside: its key, secret and blobs. */
    readonly home?: string;
    readonly env?: Readonly<Record<string, string>>;
  } = {},
): Promise<ServerProcess> {
  mkdirSync(home, { recursive: true });
  const keyFile = join(home, 'admin.key');
  if (!existsSync(keyFile)) {
    writeFileSync(keyFile, `ek_test_${randomBytes(20).toString('hex')}\n`, { mode: 0o600 });
    writeFileSync(join(home, 'secret'), randomBytes(32), { mode: 0o600 });
  }
  const key = readFileSync(keyFile, 'utf8').trim();
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const child = spawn(process.execPath, ['--import', 'tsx', 'server.ts'], {
    cwd: join(import.meta.dirname, '..', '..'),
    env: {
      PATH: '',
      DATABASE_URL: appUrl,
      DATABASE_MIGRATE_URL: migrateUrl,
      NATS_URL: natsUrl,
      TEMPORAL_ADDRESS: NOWHERE,
      HTTP_PORT: String(port),
      EDGEML_HOME: home,
      EDGEML_BOOTSTRAP_KEY_FILE: keyFile,
      EDGEML_SECRET_FILE: join(home, 'secret'),
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
  const server: ServerProcess = {
    url,
    key,
    home,
    blobDir: join(home, 'blobs'),
    child,
    output: () => output,
    async soon(what, isSo) {
      await until(what, () => isSo().catch(() => false), PATIENCE_MS).catch((error: Error) => {
        throw new Error(`${error.message}\n${output.slice(-4_000)}`);
      });
    },
    ask: (method, path, body, headers = {}) =>
      fetch(url + path, {
        method,
        headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', ...headers },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      }),
  };
  await server.soon('the server to listen', async () => (await fetch(`${url}/livez`)).ok);
  return server;
}
