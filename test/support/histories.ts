/** Histories of workflows as Temporal kept them: counted in tests, and recorded once for `workflows/replay.unit.test.ts`. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Client } from '@temporalio/client';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';

const FOLDER = join(import.meta.dirname, '..', '..', 'workflows', 'fixtures');

/** One recorded history each: every ending, and the end of a run that began anew. */
export const RECORDED = [
  'rollout-completed',
  'rollout-resumed',
  'rollout-aborted',
  'rollout-rolled-back',
  'rollout-continued',
  'rollback-closed',
  'training-succeeded',
  'training-aborted',
  'training-paused',
  'publish-published',
  'publish-refused',
] as const;
export type Recorded = (typeof RECORDED)[number];

export interface Step {
  readonly activity: string;
  /** Number of the event that scheduled it. */
  readonly at: number;
  /** Kind of the command, where it submits one. */
  readonly command: string | undefined;
}

export interface History {
  readonly runId: string;
  readonly events: number;
  readonly steps: readonly Step[];
  /** Numbers of the events that signalled, by the type of the fact. */
  readonly signals: readonly { readonly type: string; readonly at: number }[];
  /** The run that went on after this one. */
  readonly continuedAs: string | undefined;
  /** As JSON that replays, without anything of the machine that recorded it. */
  readonly json: string;
}

/** Who polled and which machine's queue: names of processes and hosts, which replay does not read. */
const PERSONAL: Readonly<Record<string, string>> = { identity: 'recorder', stackTrace: '', workerInstanceKey: '' };

/** @returns a copy without hosts, processes and paths; sticky queues are named after the process, too */
function scrubbed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(scrubbed);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([key, inner]): [string, unknown] => {
    const instead = PERSONAL[key];
    return [key, instead !== undefined && typeof inner === 'string' ? instead : scrubbed(inner)];
  });
  const all = Object.fromEntries(entries);
  return all['kind'] === 'TASK_QUEUE_KIND_STICKY' ? { ...all, name: 'sticky' } : all;
}

/** One event a line, so that a fixture can be read. */
function jsonOf(history: Parameters<typeof historyToJSON>[0]): string {
  // Temporal's own JSON of a history: an object with `events`.
  const { events } = JSON.parse(historyToJSON(history)) as { events: unknown[] };
  return `{"events":[\n${events.map((event) => JSON.stringify(scrubbed(event))).join(',\n')}\n]}\n`;
}

const parsed = (data: Uint8Array | null | undefined): unknown =>
  JSON.parse(new TextDecoder().decode(data ?? undefined));

/** @param runId default: the latest run of the id */
export async function historyOf(client: Client, workflowId: string, runId?: string): Promise<History> {
  const handle = client.workflow.getHandle(workflowId, runId);
  const history = await handle.fetchHistory();
  const steps: Step[] = [];
  const signals: { type: string; at: number }[] = [];
  let continuedAs: string | undefined;
  let run = '';
  for (const event of history.events ?? []) {
    const at = Number(event.eventId);
    const scheduled = event.activityTaskScheduledEventAttributes;
    if (scheduled) {
      // What our own workflows send: one object; `command` where it is a submission.
      const input = parsed(scheduled.input?.payloads?.[0]?.data) as { command?: { kind: string } };
      steps.push({ activity: scheduled.activityType?.name ?? '', at, command: input.command?.kind });
    }
    const signaled = event.workflowExecutionSignaledEventAttributes;
    // Our own signal.
    if (signaled) signals.push({ type: (parsed(signaled.input?.payloads?.[0]?.data) as { type: string }).type, at });
    continuedAs = event.workflowExecutionContinuedAsNewEventAttributes?.newExecutionRunId ?? continuedAs;
    run = event.workflowExecutionStartedEventAttributes?.originalExecutionRunId ?? run;
  }
  return { runId: run, events: history.events?.length ?? 0, steps, signals, continuedAs, json: jsonOf(history) };
}

/** Every run of an id, the first one first. */
export async function chainOf(client: Client, workflowId: string): Promise<History[]> {
  const last = await client.workflow.getHandle(workflowId).fetchHistory();
  const first = last.events?.[0]?.workflowExecutionStartedEventAttributes?.firstExecutionRunId ?? undefined;
  const chain = [await historyOf(client, workflowId, first)];
  for (let next = chain[0]!.continuedAs; next !== undefined; next = chain.at(-1)!.continuedAs) {
    chain.push(await historyOf(client, workflowId, next));
  }
  return chain;
}

const fileOf = (name: Recorded) => join(FOLDER, `${name}.json`);

/** Records what is not recorded yet; a recorded history is never written over. */
export function keep(name: Recorded, { json }: History): void {
  if (existsSync(fileOf(name))) return;
  mkdirSync(FOLDER, { recursive: true });
  writeFileSync(fileOf(name), json);
}

/** @throws Error of the file system where it was never recorded */
export const recorded = (name: Recorded): string => readFileSync(fileOf(name), 'utf8');
