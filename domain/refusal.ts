/**
 * Pure. The one form of a no that was expected: readers, arithmetic, machines and commands answer it as a value, and whoever speaks to
 * a caller throws it as the error that says the same.
 */
import { LifecycleError, type ErrorCode, type ErrorEvidence } from './errors.ts';

export interface Refusal<C extends ErrorCode = ErrorCode> extends ErrorEvidence {
  readonly code: C;
  /** What was expected and what came. */
  readonly detail: string;
}

/** @param more members of the answer that the code documents, such as the tensor to blame */
export function refuse<C extends ErrorCode>(code: C, detail: string, more?: ErrorEvidence['more']): Refusal<C> {
  return more === undefined ? { code, detail } : { code, detail, more };
}

/** Of two outcomes, whether it is the refusal; nothing else that is answered has a `code`. */
export function isRefusal<T extends object>(value: T | Refusal): value is Refusal {
  return 'code' in value;
}

/** The refusal as what is thrown. */
export function refusalError({ code, detail, ...evidence }: Refusal): LifecycleError {
  return new LifecycleError(code, detail, evidence);
}
