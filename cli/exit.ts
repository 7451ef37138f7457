/** Exit codes of the `edgeml` command (`docs/cli.md`), and how an error becomes one. */
import { EdgeMLError, GuardRefused, Invalid, NotAllowed, Timeout, Unreachable } from '../sdk/errors.ts';
import { OperationFailed } from '../sdk/operation.ts';

export const EXIT = {
  done: 0,
  unexpected: 1,
  usage: 2,
  /** Rolled back, aborted, training failed, verify found a fault. */
  badOutcome: 3,
  /** Paused, held, inconclusive. */
  held: 4,
  /** `--timeout` passed. */
  timeout: 5,
  /** A guard, a version rule or a precondition refused. */
  refused: 6,
  notAllowed: 7,
  /** No answer from the server, or only one that it cannot serve now. */
  unreachable: 8,
  interrupted: 130,
} as const;

/** A failure whose text and code are already decided. */
export class CliError extends Error {
  readonly exit: number;
  constructor(message: string, exit: number) {
    super(message);
    this.exit = exit;
  }
}

export function exitCodeOf(error: unknown): number {
  if (error instanceof CliError) return error.exit;
  if (error instanceof OperationFailed) {
    const { kind, state } = error.operation;
    return kind === 'publish' && state === 'failed' ? EXIT.refused : EXIT.badOutcome; // the gate refuses a publication
  }
  if (error instanceof NotAllowed) return EXIT.notAllowed;
  if (error instanceof Unreachable || error instanceof Timeout) return EXIT.unreachable;
  if (error instanceof EdgeMLError && [502, 503, 504].includes(error.status)) return EXIT.unreachable;
  if (error instanceof GuardRefused) return EXIT.refused;
  if (error instanceof EdgeMLError && error.status >= 400 && error.status < 500) return EXIT.refused;
  return EXIT.unexpected;
}

/** Lines for stderr: what happened, each unmet guard and how to meet it, and the request id to ask about. */
export function explain(error: unknown): string[] {
  if (!(error instanceof Error)) return [String(error)];
  const lines = [`error: ${error.message}`];
  if (error instanceof GuardRefused) {
    for (const guard of error.guards.filter((g) => !g.met)) {
      lines.push(`  ${guard.name}: ${guard.why}`);
      if (guard.how_to_meet) lines.push(`    ${guard.how_to_meet}`);
    }
  }
  if (error instanceof Invalid) for (const e of error.errors) lines.push(`  ${e.pointer || '/'}: ${e.detail}`);
  if (error instanceof EdgeMLError && error.requestId) lines.push(`  (${error.code}, request ${error.requestId})`);
  return lines;
}
