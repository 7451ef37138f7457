/** A device gives its task back. */
import { LifecycleError } from '../domain/errors.ts';
import type { CommandDeps } from './context.ts';
import { heldTask, type HeldTask } from './heldTask.ts';
import { cutText } from '../domain/text.ts';

/**
 * Frees the device's slot; a repeat changes nothing.
 *
 * @throws LifecycleError `task_unknown`, `lease_invalid`, `not_your_task`; `already_accepted` where the update is in
 */
export async function abortTask(
  deps: CommandDeps,
  input: HeldTask & { readonly phase?: string; readonly reason: string },
): Promise<void> {
  const task = await heldTask(deps, input);
  const detail = input.phase === undefined ? input.reason : `${input.phase}: ${input.reason}`;
  if (await deps.rounds.abort(task.taskId, cutText(detail, 500))) return;
  if ((await deps.rounds.task(task.taskId))?.state !== 'accepted') return; // refused: it has ended already
  throw new LifecycleError('already_accepted', `The update of task ${task.taskId} was accepted.`);
}
