/** The task that a device holds by its lease, and whether it still wants an update. */
import { timingSafeEqual } from 'node:crypto';
import { LifecycleError } from '../domain/errors.ts';
import type { OrgId } from '../domain/org.ts';
import { refusalError, refuse, type Refusal } from '../domain/refusal.ts';
import type { Task } from '../store/rounds/roundStore.ts';
import type { CommandDeps } from './context.ts';

export interface HeldTask {
  readonly taskId: string;
  /** Whose devices the caller speaks for: a task of another organisation does not exist for it. */
  readonly orgId: OrgId;
  /** Header `EdgeML-Lease`. */
  readonly lease: string;
  /** Where the caller knows which device asks. */
  readonly deviceId?: string;
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** @throws LifecycleError `task_unknown`, `lease_invalid`, `not_your_task` */
export async function heldTask(deps: CommandDeps, { taskId, orgId, lease, deviceId }: HeldTask): Promise<Task> {
  const task = UUID.test(taskId) ? await deps.rounds.task(taskId) : undefined;
  if (!task || task.round.orgId !== orgId) throw new LifecycleError('task_unknown', `There is no task ${taskId}.`);
  if (!isSame(lease, task.lease)) throw new LifecycleError('lease_invalid', `The lease is not of task ${taskId}.`);
  if (deviceId !== undefined && deviceId !== task.deviceId) {
    throw new LifecycleError('not_your_task', `Task ${taskId} belongs to another device.`);
  }
  return task;
}

function isSame(given: string, expected: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(expected)];
  return a.length === b.length && timingSafeEqual(a, b);
}

/** Why the task takes no update, or undefined: ended, expired, or its round is over. For HEAD, and before a body is read. */
export function unwanted(task: Task): Refusal | undefined {
  const { round, taskId } = task;
  if (task.state === 'aborted' || task.state === 'refused') {
    return refuse('task_ended', `Task ${taskId} was ${task.state}: ${task.detail ?? ''}. Check in again.`);
  }
  if (round.state !== 'open') {
    return refuse('round_closed', `Round ${round.roundId} is ${round.state} (${round.cause ?? ''}).`, {
      cause: round.cause,
    });
  }
  if (Date.parse(task.expiresAt) <= task.now.getTime()) {
    return refuse('lease_expired', `Task ${taskId} expired at ${task.expiresAt}. Check in again.`);
  }
  return undefined;
}

/**
 * Whether the server still wants the update: returns where it does, or where it has it.
 *
 * @throws LifecycleError as {@link heldTask}, and `task_ended`, `round_closed`, `lease_expired`
 */
export async function checkTask(deps: CommandDeps, held: HeldTask): Promise<Task> {
  const task = await heldTask(deps, held);
  const why = task.receipt ? undefined : unwanted(task);
  if (why) throw refusalError(why);
  return task;
}
