/** The workers of one process: one for each queue. Tests run the same in-process, on a queue of their own. */
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import {
  bundleWorkflowCode,
  DefaultLogger,
  Worker,
  type NativeConnection,
  type WorkflowBundleWithSourceMap,
} from '@temporalio/worker';
import { computeQueue, watchQueue } from '../domain/events/processes.ts';
import { createActivities } from './createActivities.ts';
import type { ActivityDeps } from './deps.ts';

const WORKFLOWS = fileURLToPath(new URL('../workflows/index.ts', import.meta.url));

/** The workflows as one script for Temporal's sandbox; takes 2 to 3 s, so make it once a process. */
export function bundleWorkflows(): Promise<WorkflowBundleWithSourceMap> {
  return bundleWorkflowCode({ workflowsPath: WORKFLOWS, logger: new DefaultLogger('WARN') });
}

export interface WorkerOptions {
  /** The caller closes it after the workers have ended, or the process stays. */
  readonly connection: NativeConnection;
  readonly namespace: string;
  /** Queue of workflows; `…-watch` and `…-compute` derive from it. */
  readonly taskQueue: string;
  readonly bundle: WorkflowBundleWithSourceMap;
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
