/** Pure. How the arithmetic says no: expected outcomes are values. */
import type { ErrorCode } from '../errors.ts';

export interface Refused {
  readonly refused: ErrorCode;
  /** What was expected and what came. */
  readonly detail: string;
  readonly tensor?: string;
}

export function refuse(refused: ErrorCode, detail: string, tensor?: string): Refused {
  return tensor === undefined ? { refused, detail } : { refused, detail, tensor };
}

export function isRefused<T extends object>(value: T | Refused): value is Refused {
  return 'refused' in value;
}
