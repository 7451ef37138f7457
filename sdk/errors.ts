/** What the SDK throws: one class per thing a caller can do about it. Each carries the server's problem body. */
import type { Guard } from '../domain/errors.ts';

/** RFC 9457 members, and ours. */
export interface Problem {
  readonly code: string;
  readonly detail: string;
  readonly status: number;
  readonly retryable?: boolean;
  readonly request_id?: string;
  readonly state?: string;
  readonly command?: string;
  readonly guards?: readonly Guard[];
  readonly errors?: readonly { readonly pointer: string; readonly detail: string }[];
  readonly [member: string]: unknown;
}

export class EdgeMLError extends Error {
  override readonly name: string = 'EdgeMLError';
  readonly code: string;
  /** HTTP status; 0 where no answer came. */
  readonly status: number;
  readonly retryable: boolean;
  readonly requestId: string | undefined;
  readonly problem: Problem | undefined;
  constructor(message: string, status: number, problem?: Problem, options?: ErrorOptions & { code?: string }) {
    super(message, options);
    this.status = status;
    this.problem = problem;
    this.code = problem?.code ?? options?.code ?? 'server_error';
    this.retryable = problem?.retryable ?? status === 0;
    this.requestId = problem?.request_id;
  }
}

/** The state or a guard refused the command; `guards` say how to meet each. */
export class GuardRefused extends EdgeMLError {
  override readonly name = 'GuardRefused';
  get state(): string {
    return this.problem?.state ?? '';
  }
  get command(): string {
    return this.problem?.command ?? '';
  }
  get guards(): readonly Guard[] {
    return this.problem?.guards ?? [];
  }
}
/** 400, 422: `errors` name the members by JSON pointer. */
export class Invalid extends EdgeMLError {
  override readonly name = 'Invalid';
  get errors(): readonly { readonly pointer: string; readonly detail: string }[] {
    return this.problem?.errors ?? [];
  }
}
export class Conflict extends EdgeMLError {
  override readonly name = 'Conflict';
}
export class NotFound extends EdgeMLError {
  override readonly name = 'NotFound';
}
export class NotAllowed extends EdgeMLError {
  override readonly name = 'NotAllowed';
}
export class RateLimited extends EdgeMLError {
  override readonly name = 'RateLimited';
}
/** Bytes whose SHA-256 is not the one announced; they are never returned. */
export class ChecksumMismatch extends EdgeMLError {
  override readonly name = 'ChecksumMismatch';
}
/** No connection, or it broke. */
export class Unreachable extends EdgeMLError {
  override readonly name = 'Unreachable';
}
export class Timeout extends EdgeMLError {
  override readonly name = 'Timeout';
}

/** The class that fits a problem body. */
export function errorFrom(status: number, problem: Problem): EdgeMLError {
  const { detail, code } = problem;
  if (problem.guards) return new GuardRefused(detail, status, problem);
  if (code === 'checksum_mismatch') return new ChecksumMismatch(detail, status, problem);
  switch (status) {
    case 400:
    case 422:
      return new Invalid(detail, status, problem);
    case 401:
    case 403:
      return new NotAllowed(detail, status, problem);
    case 404:
    case 410:
      return new NotFound(detail, status, problem);
    case 409:
    case 412:
      return new Conflict(detail, status, problem);
    case 429:
      return new RateLimited(detail, status, problem);
    default:
      return new EdgeMLError(detail, status, problem);
  }
}
