/** `server.ts` as a process of its own on a benchmark's database, without NATS and Temporal. */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { choosePort } from '../../dev/ports.ts';

/** Nobody listens there. */
const NOWHERE = '127.0.0.1:9';

export interface BenchServer {
  readonly url: string;
  /** The admin's key. */
  readonly key: string;
  readonly blobDir: string;
  /** Resident bytes of the process that answers requests. */
  rss(): number;
}

/** Runs `work` against a fresh server, and ends and removes it whatever happens. */
export async function withServer<T>(appUrl: string, work: (server: BenchServer) => Promise<T>): Promise<T> {
  const home = mkdtempSync(join(tmpdir(), 'bench-server-'));
  const key = `ek_test_${randomBytes(20).toString('hex')}`;
  writeFileSync(join(home, 'admin.key'), key, { mode: 0o600 });
  writeFileSync(join(home, 'secret'), randomBytes(32), { mode: 0o600 });
  const port = await choosePort(undefined, new Set());
  const child = spawn(process.execPath, ['--import', 'tsx', 'server.ts'], {
    cwd: join(import.meta.dirname, '..', '..'),
    env: {
      PATH: '',
      DATABASE_URL: appUrl,
      NATS_URL: `nats://${NOWHERE}`,
      TEMPORAL_ADDRESS: NOWHERE,
      HTTP_PORT: String(port),
      EDGEML_HOME: home,
      EDGEML_BOOTSTRAP_KEY_FILE: join(home, 'admin.key'),
      EDGEML_SECRET_FILE: join(home, 'secret'),
      EDGEML_UPLOAD_BUDGET_BYTES: String(2 ** 30),
      LOG_LEVEL: 'silent',
    },
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const exited = once(child, 'exit');
  const url = `http://127.0.0.1:${port}`;
  const isReady = async () => (await fetch(`${url}/readyz`).catch(() => undefined))?.ok === true;
  try {
    for (let tries = 0; !(await isReady()); tries += 1) {
      if (child.exitCode !== null || tries > 300) throw new Error('the server did not start');
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    return await work({
      url,
      key,
      blobDir: join(home, 'blobs'),
      rss: () => Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1]) * 1024,
    });
  } finally {
    child.kill('SIGTERM');
    await exited;
    rmSync(home, { recursive: true, force: true });
  }
}
