/** The workers of one process: one for each queue. Tests run the same in-process, on a queue of their own. */
import { existsSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { bundleWorkflowCode, DefaultLogger, Worker, type NativeConnection } from '@temporalio/worker';
import { computeQueue, watchQueue } from '../domain/events/processes.ts';
import { scriptBeside } from '../store/script.ts';
import { createActivities } from './createActivities.ts';
import type { ActivityDeps } from './deps.ts';

/** Made by `npm run build`, beside the compiled workflows. */
export const BUNDLE = 'bundle.cjs';
const WORKFLOWS = new URL('../workflows/', import.meta.url);

/** The workflows as one script for Temporal's sandbox. A build has it; a checkout makes it in 2 to 3 s, so once a process. */
export async function bundleWorkflows(): Promise<{ readonly code: string }> {
  const built = new URL(BUNDLE, WORKFLOWS);
  if (existsSync(built)) return { code: readFileSync(built, 'utf8') };
  return bundleWorkflowCode({
    workflowsPath: scriptBeside(new URL('x', WORKFLOWS).href, 'index').path,
    logger: new DefaultLogger('WARN'),
  });
}

export interface WorkerOptions {
  /** The caller closes it after the workers have ended, or the process stays. */
  readonly connection: NativeConnection;
  readonly namespace: string;
  /** Queue of workflows; `…-watch` and `…-compute` derive from it. */
  readonly taskQueue: string;
  readonly bundle: { readonly code: string };
  readonly signal: AbortSignal;
  /** Told once all workers poll. */
  readonly onReady?: () => void;
  /** Time that activities get to end at a shutdown; watchers get none, they never end by themselves. */
  readonly graceMs?: number;
}

async function createWorkers(deps: ActivityDeps, options: WorkerOptions): Promise<Worker[]> {
  const { connection, namespace, taskQueue, bundle, graceMs = 5_000 } = options;
  const activities = createActivities(deps);
  const common = { connection, namespace };
  return Promise.all([
    Worker.create({
      ...common,
      taskQueue,
      workflowBundle: bundle,
      activities: activities.main,
      maxCachedWorkflows: 300,
      stickyQueueScheduleToStartTimeout: '1s',
      shutdownGraceTime: graceMs,
    }),
    Worker.create({
      ...common,
      taskQueue: watchQueue(taskQueue),
      activities: activities.watch,
      maxConcurrentActivityTaskExecutions: 1_000,
      shutdownGraceTime: 0,
    }),
    Worker.create({
      ...common,
      taskQueue: computeQueue(taskQueue),
      activities: activities.compute,
      maxConcurrentActivityTaskExecutions: availableParallelism(),
      maxHeartbeatThrottleInterval: '5s',
      shutdownGraceTime: graceMs,
    }),
  ]);
}

/**
 * Works until `signal` aborts, then lets what runs end. If one worker fails, the others are stopped too.
 *
 * @throws what made a worker fail, such as a connection that stays lost
 */
export async function runWorker(deps: ActivityDeps, options: WorkerOptions): Promise<void> {
  const workers = await createWorkers(deps, options);
  const stop = () => {
    for (const worker of workers) if (worker.getState() === 'RUNNING') worker.shutdown();
  };
  const runs = workers.map((worker) =>
    worker.run().catch((error: unknown) => {
      stop();
      throw error;
    }),
  );
  options.signal.addEventListener('abort', stop, { once: true });
  if (options.signal.aborted) stop();
  options.onReady?.();
  const fault = (await Promise.allSettled(runs)).find((r) => r.status === 'rejected');
  if (fault) throw fault.reason;
}
