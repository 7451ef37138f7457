/** Our own two processes as the launcher runs them. */
import { join } from 'node:path';
import { MAIN_QUEUE } from '../domain/events/processes.ts';
import type { Cluster } from './postgres.ts';
import { CHECKOUT } from './reach.ts';
import type { Ports } from './stackFile.ts';
import type { ServiceSpec } from './supervise.ts';

export interface CommandOverride {
  /** Arguments for Node. */
  readonly args: readonly string[];
  /** The checkout without it. */
  readonly cwd?: string;
  /** The product's own question without it. */
  readonly isReady?: (pid: number) => Promise<boolean | string>;
}

export interface EnvironmentParts {
  readonly home: string;
  readonly ports: Readonly<Ports>;
  readonly cluster: Cluster | undefined;
  readonly external: Readonly<Record<string, string>>;
  readonly keyFile: string;
  readonly secretFile: string;
  readonly more: Readonly<Record<string, string>>;
}

/** Every variable is set, if only to nothing: what the caller's shell happens to hold must not reach our processes. */
export function ourEnvironment({
  home,
  ports,
  cluster,
  external,
  keyFile,
  secretFile,
  more,
}: EnvironmentParts): Record<string, string> {
  const own: Record<string, string> = {
    DATABASE_URL: cluster?.appUrl() ?? '',
    DATABASE_PASSWORD: '',
    DATABASE_MIGRATE_URL: cluster?.adminUrl() ?? '',
    DATABASE_MIGRATE_PASSWORD: '',
    NATS_URL: `nats://127.0.0.1:${ports.nats}`,
    TEMPORAL_ADDRESS: `127.0.0.1:${ports.temporal}`,
    TEMPORAL_NAMESPACE: 'default',
    TEMPORAL_TASK_QUEUE: MAIN_QUEUE,
    TEMPORAL_API_KEY: '',
    TEMPORAL_TLS: '',
    HTTP_HOST: '127.0.0.1',
    HTTP_PORT: String(ports.api),
    PUBLIC_URL: `http://127.0.0.1:${ports.api}`,
    EDGEML_HOME: home,
    EDGEML_BLOB_DIR: join(home, 'blobs'),
    EDGEML_BOOTSTRAP_KEY_FILE: keyFile,
    EDGEML_SECRET_FILE: secretFile,
    EDGEML_ORG: 'org_local',
    WORKER_METRICS_PORT: String(ports.worker_metrics),
  };
  return { ...own, ...external, ...more };
}

/** tsx runs inside the one Node process, so the pid is the program's own. */
const node = (file: string): readonly string[] => ['--import', 'tsx', join(CHECKOUT, file)];

/** Whether a server of ours is ready; what it is at while it starts. One that waits in vain for another part says nothing. */
export async function askReady(url: string): Promise<boolean | string> {
  const answer = await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(2_000) });
  if (answer.ok) return true;
  // A stranger may answer there: nothing of its shape is certain.
  const body = (await answer.json()) as { status?: unknown; parts?: readonly { name?: unknown; detail?: unknown }[] };
  if (body.status !== 'starting') return false;
  return (body.parts ?? []).map(({ name, detail }) => `${String(name)} ${String(detail)}`).join('; ');
}

export function serverSpec(
  { home, env, port }: { home: string; env: () => Record<string, string>; port: () => number },
  override?: CommandOverride,
): ServiceSpec {
  return {
    name: 'server',
    log: join(home, 'logs', 'server.log'),
    program: () => ({
      file: process.execPath,
      args: override?.args ?? node('server.ts'),
      env: env(),
      cwd: override?.cwd ?? CHECKOUT,
    }),
    isReady: override?.isReady ?? (() => askReady(`http://127.0.0.1:${port()}`)),
  };
}

/** Whether a worker of this process polls the queue. The SDK's identity of a worker begins with its pid. */
async function polls(pid: number, env: Readonly<Record<string, string>>): Promise<boolean> {
  const { Connection } = await import('@temporalio/client');
  const apiKey = env['TEMPORAL_API_KEY'];
  const connection = await Connection.connect({
    address: env['TEMPORAL_ADDRESS'] ?? '',
    connectTimeout: 5_000,
    ...(apiKey ? { apiKey } : {}),
    ...(apiKey || env['TEMPORAL_TLS'] === 'on' ? { tls: true } : {}),
  });
  try {
    const { pollers } = await connection.withDeadline(Date.now() + 5_000, () =>
      connection.workflowService.describeTaskQueue({
        namespace: env['TEMPORAL_NAMESPACE'] ?? 'default',
        taskQueue: { name: env['TEMPORAL_TASK_QUEUE'] ?? MAIN_QUEUE },
        taskQueueType: 1, // workflows
      }),
    );
    return (pollers ?? []).some(({ identity }) => identity?.startsWith(`${pid}@`) === true);
  } finally {
    await connection.close();
  }
}

export function workerSpec(
  { home, env }: { home: string; env: () => Record<string, string> },
  override?: CommandOverride,
): ServiceSpec {
  return {
    name: 'worker',
    log: join(home, 'logs', 'worker.log'),
    program: () => ({
      file: process.execPath,
      args: override?.args ?? node('worker.ts'),
      env: env(),
      cwd: override?.cwd ?? CHECKOUT,
    }),
    isReady: override?.isReady ?? ((pid) => polls(pid, env())),
  };
}
