/** Pure. How a reader or the arithmetic says no: expected outcomes are values. */
import type { ErrorCode } from './errors.ts';

export interface Refused {
  readonly refused: ErrorCode;
  /** What was expected and what came. */
  readonly detail: string;
  readonly tensor?: string;
}

/** A refusal as a value; `tensor` is left out where none is to blame. */
export function refuse(code: ErrorCode, detail: string, tensor?: string): Refused {
  return tensor === undefined ? { refused: code, detail } : { refused: code, detail, tensor };
}

export function isRefused<T extends object>(value: T | Refused): value is Refused {
  return 'refused' in value;
}
