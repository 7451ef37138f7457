/** The one place where an error becomes a Temporal failure: its type is the code of the catalogue. */
import { Context } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import { LifecycleError } from '../domain/errors.ts';
import type { ActivityDeps } from './deps.ts';
import { createFaults, describeFault, isUndeclared } from './fault.ts';
import { giveUp } from './giveUp.ts';

/** What Temporal is told. Codes that no retry can mend are non-retryable; everything else is tried again. */
export function asFailure(error: unknown): unknown {
  if (!(error instanceof LifecycleError)) return error;
  return ApplicationFailure.create({
    message: error.message,
    type: error.code,
    nonRetryable: !error.row.retryable,
    cause: error,
  });
}

type Activity<I, O> = (input: I) => Promise<O>;

/** Makes activities of functions; all of one worker share what they remember of faults. */
export function createFailures(deps: ActivityDeps) {
  const faults = createFaults();

  /**
   * Checks `v`, lets errors out through {@link asFailure}, and gives up what fails three times with the same exception that
   * nobody declared.
   *
   * @param instead what the workflow is answered where a fact holds its process now: it loads again and finds another plan
   * @throws ApplicationFailure `invalid_input` for another `v`: the workflow is newer than this worker; `internal_fault` for
   *   what was given up and no fact could hold
   */
  return function asActivity<I extends { readonly v: 1 }, O>(
    name: string,
    run: Activity<I, O>,
    instead?: O,
  ): Activity<I, O> {
    return async (input) => {
      const { info } = Context.current();
      const process = info.workflowExecution?.workflowId ?? '';
      const activity = `${info.workflowExecution?.runId ?? ''}-${info.activityId}`;
      try {
        if (input?.v !== 1)
          throw new LifecycleError('invalid_input', `${name} expects {v: 1, …}, got v ${String(input?.v)}.`);
        const answer = await run(input);
        faults.forget(activity);
        return answer;
      } catch (error) {
        if (!isUndeclared(error)) {
          faults.forget(activity);
          throw asFailure(error);
        }
        if (!faults.isRepeated(activity, error)) throw error;
        const reason = describeFault(name, error);
        const isHeld = await giveUp(deps, process, activity, reason).catch((other: unknown) => {
          // It cannot be folded or written either; the workflow tells operators and waits.
          if (isUndeclared(other)) return false;
          throw asFailure(other);
        });
        if (isHeld && instead !== undefined) return instead;
        throw asFailure(new LifecycleError('internal_fault', reason, {}, { cause: error }));
      }
    };
  };
}
