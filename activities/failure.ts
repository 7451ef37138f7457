/** The one place where an error becomes a Temporal failure: its type is the code of the catalogue. */
import { ApplicationFailure } from '@temporalio/common';
import { LifecycleError } from '../domain/errors.ts';

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

/**
 * Makes a function an activity: checks `v`, and lets errors out through {@link asFailure}.
 *
 * @throws ApplicationFailure `invalid_input` for another `v`: the workflow is newer than this worker
 */
export function asActivity<I extends { readonly v: 1 }, O>(name: string, run: (input: I) => Promise<O>) {
  return async (input: I): Promise<O> => {
    try {
      if (input?.v !== 1)
        throw new LifecycleError('invalid_input', `${name} expects {v: 1, …}, got v ${String(input?.v)}.`);
      return await run(input);
    } catch (error) {
      throw asFailure(error);
    }
  };
}
