/**
 * The calls that relay and reconciler make to Temporal. Each has a deadline of 2 s, since a call to a dead server retries for
 * 19 s on its own. Nothing here throws: what happened is a value.
 */
import {
  Client,
  Connection,
  isGrpcServiceError,
  WorkflowExecutionAlreadyStartedError,
  WorkflowNotFoundError,
  type WorkflowClient,
} from '@temporalio/client';
import { NamespaceNotFoundError } from '@temporalio/common';
import { parseProcess, PROCESSES, type FactSignal } from '../domain/events/processes.ts';

const DEADLINE_MS = 2_000;

export interface TemporalAddress {
  readonly address: string;
  readonly namespace: string;
  readonly tls?: boolean;
  readonly apiKey?: string;
}

/** `missing`: no run of that id, or none that lives. `away`: no answer; whether it took effect is unknown, so call again. */
export type CallResult = 'done' | 'missing' | 'away' | { readonly failed: string };
export type Life = 'alive' | 'ended' | 'missing' | 'away' | { readonly failed: string };

/** What an operator reads beside the id in Temporal. Below 2 KB, and no secrets. */
export interface Memo {
  readonly stream: string;
  readonly model: string | null;
  readonly version: string | null;
  readonly startedByEvent: string;
  readonly correlationId: string | null;
}

export interface TemporalCalls {
  /**
   * Starts the process, or finds it running. `once`: never a second run of an id that ended (a fact starts it once). `again`:
   * a new run although one ended (the log says that it is open).
   */
  start(id: string, memo: Memo, how: 'once' | 'again'): Promise<CallResult>;
  signal(id: string, fact: FactSignal): Promise<CallResult>;
  cancel(id: string): Promise<CallResult>;
  life(id: string): Promise<Life>;
  /** Id of our namespace: another database has another. undefined where Temporal does not answer, or not to us. */
  namespaceId(): Promise<string | undefined>;
  close(): Promise<void>;
}

const GRPC = { cancelled: 1, deadlineExceeded: 4, resourceExhausted: 8, unavailable: 14 };
const AWAY: readonly number[] = [GRPC.cancelled, GRPC.deadlineExceeded, GRPC.resourceExhausted, GRPC.unavailable];

function classify(error: unknown): 'done' | 'missing' | 'away' | { failed: string } {
  if (error instanceof WorkflowExecutionAlreadyStartedError) return 'done';
  if (error instanceof WorkflowNotFoundError) return 'missing';
  if (error instanceof NamespaceNotFoundError) return 'away'; // a server that is not ready yet
  const cause = error instanceof Error && isGrpcServiceError(error.cause) ? error.cause : error;
  if (isGrpcServiceError(cause) && AWAY.includes(cause.code)) return 'away';
  const why = error instanceof Error ? error : new Error(String(error));
  return { failed: `${why.name}: ${why.message}${why.cause instanceof Error ? ` (${why.cause.message})` : ''}` };
}

/** The one argument of a workflow, by its id. @throws Error for an id that is none of ours (a bug) */
function startOf(id: string): { workflow: string; input: Record<string, unknown> } {
  const parsed = parseProcess(id);
  if (!parsed) throw new Error(`${id} is no process id`);
  const { kind, ...subject } = parsed;
  return { workflow: PROCESSES[kind].workflow, input: { v: 1, ...subject } };
}

/** A lazy connection: the first call connects, a lost one is made anew within 2 s. The caller closes it. */
export function createTemporalCalls(temporal: TemporalAddress, taskQueue: string): TemporalCalls {
  const connection = Connection.lazy({
    address: temporal.address,
    ...(temporal.tls ? { tls: true } : {}),
    ...(temporal.apiKey === undefined ? {} : { apiKey: temporal.apiKey }),
    channelArgs: {
      // grpc-js waits up to two minutes between tries otherwise, and signals would wait with it.
      'grpc.initial_reconnect_backoff_ms': 100,
      'grpc.max_reconnect_backoff_ms': 2_000,
      // A host that has vanished closes nothing: without these its connection is used until TCP gives it up, a quarter of an hour.
      'grpc.keepalive_time_ms': 10_000,
      'grpc.keepalive_timeout_ms': 3_000,
    },
  });
  const workflows: WorkflowClient = new Client({ connection, namespace: temporal.namespace }).workflow;
  const call = <T>(make: () => Promise<T>) => connection.withDeadline(Date.now() + DEADLINE_MS, make);
  const attempt = async (make: () => Promise<unknown>): Promise<CallResult> => {
    try {
      await call(make);
      return 'done';
    } catch (error) {
      return classify(error);
    }
  };
  return {
    start(id, memo, how) {
      const { workflow, input } = startOf(id);
      return attempt(() =>
        workflows.start(workflow, {
          workflowId: id,
          taskQueue,
          args: [input],
          memo: { ...memo },
          workflowIdConflictPolicy: 'USE_EXISTING',
          workflowIdReusePolicy: how === 'once' ? 'REJECT_DUPLICATE' : 'ALLOW_DUPLICATE',
        }),
      );
    },
    signal: (id, fact) => attempt(() => workflows.getHandle(id).signal('fact', fact)),
    cancel: (id) => attempt(() => workflows.getHandle(id).cancel()),
    async life(id) {
      try {
        const { status } = await call(() => workflows.getHandle(id).describe());
        return status.name === 'RUNNING' || status.name === 'PAUSED' ? 'alive' : 'ended';
      } catch (error) {
        const result = classify(error);
        return result === 'done' ? 'ended' : result;
      }
    },
    async namespaceId() {
      const { namespace } = temporal;
      try {
        const answer = await call(() => connection.workflowService.describeNamespace({ namespace }));
        return answer.namespaceInfo?.id || undefined;
      } catch {
        return undefined;
      }
    },
    close: () => connection.close(),
  };
}
