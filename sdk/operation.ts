/** Long work: a 202 names an operation, whose state is a fold of facts; we poll it until it ends. */
import { EdgeMLError, type Problem } from './errors.ts';
import type { CallOptions, Http, Progress } from './http.ts';
import { sleep } from './pause.ts';
import type { Operation } from './types.ts';

const POLL_MS = 300;

/** Long work that ended without success, with its problem body. */
export class OperationFailed extends EdgeMLError {
  override readonly name = 'OperationFailed';
  readonly operation: Operation;
  constructor(operation: Operation) {
    const problem = operation.error as Problem | null | undefined; // a problem body, by the route's schema
    super(problem?.detail ?? `${operation.id} ${operation.state}`, problem?.status ?? 409, problem ?? undefined);
    this.operation = operation;
  }
}

/** The operation's last state. @throws OperationFailed when it failed or was cancelled */
export async function followOperation(http: Http, id: string, o: CallOptions = {}): Promise<Operation> {
  for (;;) {
    const operation: Operation = await http.json('GET', `/lifecycle/v1/operations/${encodeURIComponent(id)}`, {
      signal: o.signal,
    });
    report(operation, o);
    if (operation.state === 'succeeded') return operation;
    if (operation.state !== 'running') throw new OperationFailed(operation);
    await sleep(POLL_MS, o.signal);
  }
}

/** Sends a command that may answer 202, and follows it unless `wait` is false. */
export async function settle(
  http: Http,
  method: string,
  path: string,
  body: unknown,
  o: CallOptions,
): Promise<Operation> {
  const operation: Operation = await http.json(method, path, {
    body,
    idempotencyKey: o.idempotencyKey,
    signal: o.signal,
  });
  report(operation, o);
  if (o.wait === false || operation.state === 'succeeded') return operation;
  return followOperation(http, operation.id, o);
}

function report(operation: Operation, o: CallOptions): void {
  const { progress } = operation;
  if (!o.onProgress || !progress) return;
  o.onProgress({
    phase: progress.message,
    done: progress.done,
    ...(progress.total === null ? {} : { total: progress.total }),
    unit: progress.unit as Progress['unit'], // the server's words are a subset, by the route's schema
  });
}
