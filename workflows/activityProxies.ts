/**
 * The activities of a workflow, by queue and patience (docs/design/temporal.md "Activities by queue"). Queues derive
 * from the workflow's own.
 */
import { ActivityCancellationType, proxyActivities, workflowInfo } from '@temporalio/workflow';
import type { ComputeActivities, MainActivities, TellActivities, WatchActivities } from '../activities/contract.ts';
import { computeQueue, watchQueue } from '../domain/events/processes.ts';

/** Call it inside a run: the queue's name is the run's. */
export function proxiesOfRun() {
  const { taskQueue } = workflowInfo();
  return {
    main: proxyActivities<MainActivities>({
      startToCloseTimeout: '5s',
      retry: { initialInterval: '200ms', maximumInterval: '30s' },
    }),
    tell: proxyActivities<TellActivities>({
      startToCloseTimeout: '15s',
      scheduleToCloseTimeout: '24h',
      retry: { initialInterval: '1s', maximumInterval: '10m' },
    }),
    // A watcher is given up, not waited for: it hears of its end with its next heartbeat.
    watch: proxyActivities<WatchActivities>({
      taskQueue: watchQueue(taskQueue),
      startToCloseTimeout: '6h',
      heartbeatTimeout: '30s',
      cancellationType: ActivityCancellationType.TRY_CANCEL,
      retry: { initialInterval: '1s', maximumInterval: '30s' },
    }),
    compute: proxyActivities<ComputeActivities>({
      taskQueue: computeQueue(taskQueue),
      startToCloseTimeout: '30m',
      scheduleToCloseTimeout: '6h',
      heartbeatTimeout: '10s',
      cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
      retry: { initialInterval: '1s', maximumInterval: '1m' },
    }),
  };
}
export type ActivityProxies = ReturnType<typeof proxiesOfRun>;
