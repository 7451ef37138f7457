/** Pure. Why a file cannot be read: thrown inside this room, a value at its door. */
import type { ErrorCode } from '../../errors.ts';

export class Unreadable extends Error {
  /** `unsafe_file`: only a reader that runs what a file says could read it. */
  readonly code: Extract<ErrorCode, 'unsafe_file' | 'malformed_container' | 'payload_too_large'>;

  constructor(code: Unreadable['code'], detail: string) {
    super(detail);
    this.code = code;
  }
}
