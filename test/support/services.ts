/** What an integration or end-to-end test may ask for. All of it is real, and of the file's own unless said otherwise. */
import { randomBytes, randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { inject } from 'vitest';
import { withAdmin } from '../../dev/postgres.ts';
import { removeHome, startStack } from '../../dev/stack.ts';
import { migrate } from '../../store/migrate.ts';

const token = (): string => randomBytes(4).toString('hex');

/** A folder below the run's, which removes it at the end. */
export function testHome(kind: string): string {
  return join(inject('testHome'), `${kind}-${token()}`);
}

/** The cluster of this worker: files that run at once share none. */
export function clusterOf(): { readonly adminUrl: string; readonly appUrl: string } {
  const clusters = inject('clusters');
  // eslint-disable-next-line no-restricted-syntax -- vitest numbers its workers, from 1, in the environment only
  return clusters[Number(process.env['VITEST_POOL_ID']) % clusters.length]!;
}

export interface TestDatabase {
  /** As edgeml_app. */
  readonly appUrl: string;
  /** As a superuser. */
  readonly migrateUrl: string;
  readonly adminUrl: string;
  /** Removes it, with the sessions that are still in it. */
  drop(): Promise<void>;
}

/** A fresh database on the worker's cluster, with our schema unless `migrated: false`. The caller drops it. */
export async function createDatabase({ migrated = true }: { migrated?: boolean } = {}): Promise<TestDatabase> {
  const { adminUrl: shared, appUrl } = clusterOf();
  const name = `t_${token()}`;
  const on = (base: string): string => {
    const url = new URL(base);
    url.pathname = `/${name}`;
    return url.href;
  };
  await withAdmin(shared, (admin) => admin.query(`CREATE DATABASE ${name}`));
  const urls = { appUrl: on(appUrl), migrateUrl: on(shared) };
  if (migrated) await migrate(urls);
  return {
    ...urls,
    adminUrl: urls.migrateUrl,
    drop: async () => {
      await withAdmin(shared, (admin) => admin.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`));
    },
  };
}

export interface TestNats {
  readonly url: string;
  /** SIGKILL; it stays down until {@link start}. What it stored stays. */
  kill(): Promise<void>;
  /** On the same port, over the same files. */
  start(): Promise<void>;
  /** Killed and started. */
  restart(): Promise<void>;
  /** For good: files and all. */
  stop(): Promise<void>;
}

/** A nats-server with JetStream of the file's own (our stream's name is fixed). The caller stops it. */
export async function startNats(): Promise<TestNats> {
  const home = testHome('nats');
  const stack = await startStack({ home, services: ['nats'], external: {} });
  const kill = (): Promise<void> => stack.stopService('nats', 'SIGKILL');
  const start = (): Promise<void> => stack.startService('nats');
  return {
    url: stack.env['NATS_URL'] ?? '',
    kill,
    start,
    restart: async () => {
      await kill();
      await start();
    },
    stop: async () => {
      await stack.stop();
      removeHome(home);
    },
  };
}

/** The run's one Temporal dev server. Use task queues and workflow ids of your own, and end what you started. */
export function temporal(): { readonly address: string; readonly namespace: string } {
  return inject('temporal');
}

export interface TestTemporal {
  readonly target: { readonly address: string; readonly namespace: string };
  /** SIGKILL; it stays down until {@link start}. */
  kill(): Promise<void>;
  /** Deletes its database; it must be down. */
  wipe(): void;
  /** On the same port, over the same file if it is still there. Resolves when it answers. */
  start(): Promise<void>;
  /** For good: files and all. */
  stop(): Promise<void>;
}

/** A Temporal dev server of the file's own, for what the shared one must not suffer. The caller stops it. */
export async function startTemporal(config: Readonly<Record<string, string>> = {}): Promise<TestTemporal> {
  const home = testHome('temporal');
  const stack = await startStack({ home, services: ['temporal'], external: {}, temporalConfig: config });
  return {
    target: { address: stack.env['TEMPORAL_ADDRESS'] ?? '', namespace: 'default' },
    kill: () => stack.stopService('temporal', 'SIGKILL'),
    wipe: () => stack.wipeTemporal(),
    async start() {
      await stack.startService('temporal');
      await stack.ready('temporal');
    },
    stop: async () => {
      await stack.stop();
      removeHome(home);
    },
  };
}

/** A task queue nobody else uses. */
export function taskQueue(): string {
  return `test-${randomUUID()}`;
}
