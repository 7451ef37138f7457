/** The entry of workflows into the log: the same use cases as everyone's. */
import type { Outcome } from '../commands/context.ts';
import { submit, type WorkflowCommand } from '../commands/workflowCommand.ts';
import type { Submission, Submitted } from './contract.ts';
import type { ActivityDeps } from './deps.ts';
import { cutText } from '../domain/text.ts';

/** A conviction is a stop: nothing that happens meanwhile may hold it back, so it is decided again without limit. */
const isStop = (command: WorkflowCommand) =>
  command.kind === 'judgeRollout' && command.judgement.verdict === 'REGRESSED';

/**
 * Submits a command as process `process`. Idempotent by command id: a repeat after a lost answer is `duplicate`.
 *
 * @throws LifecycleError for a command that names what does not exist, or a diverged stream
 */
export async function submitAs(deps: ActivityDeps, process: string, submission: Submission): Promise<Submitted> {
  const { commandId, command, expect } = submission;
  const stop = isStop(command);
  const caller = {
    actor: { kind: 'workflow' as const, id: process },
    orgId: null,
    commandId,
    commandHash: null,
    correlationId: process,
    causationId: null,
    onConflict: stop ? ('stop' as const) : ('stale' as const),
  };
  const outcome = await submit(deps.commands, stop ? caller : { ...caller, expect }, command);
  return submittedOf(outcome);
}

function submittedOf(outcome: Outcome): Submitted {
  switch (outcome.outcome) {
    case 'appended':
    case 'duplicate':
    case 'already':
      return { outcome: outcome.outcome, events: outcome.events };
    case 'stale':
      return { outcome: 'stale', events: [], why: `${outcome.stream} is at version ${outcome.version}` };
    case 'refused':
      return {
        outcome: 'refused',
        events: [],
        code: outcome.refusal.code,
        why: cutText(outcome.refusal.detail, 2_000),
      };
  }
}
