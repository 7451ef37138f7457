/**
 * An audit beside the server: in a child process, so that the server's loop stays free and its memory small, and one at a time, since
 * two would only share the disk. Nothing is left of one that is killed but scratch schemas, which the next one drops.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { LifecycleError } from '../domain/errors.ts';
import { keepEnd } from '../domain/text.ts';
import { scriptBeside } from '../store/script.ts';
import type { AuditOrder, FromAudit } from './protocol.ts';
import type { VerifyOptions, VerifyReport } from './verify.ts';

export interface Auditor {
  /** Of the child; undefined while none runs. */
  readonly pid: number | undefined;
  /**
   * @throws LifecycleError `conflict` while another runs, `unavailable` once closed, `server_error` where the child crashed; Error when
   *   the signal aborts, which kills the child; what Postgres says, with its code
   */
  verify(options: VerifyOptions): Promise<VerifyReport>;
  /** Kills the child. Nothing runs after it. */
  close(): void;
}

export interface AuditorOptions extends Pick<AuditOrder, 'connectionString' | 'blobDir'> {
  /** All that the child gets: what the driver needs, and none of our secrets. */
  readonly env: Record<string, string>;
  /** MiB of the child's heap; 160 without it. */
  readonly heapMib?: number;
}

const STDERR_KEPT = 1_000;
/** What the audit keeps does not grow with the log: more than this is a fault, and ends the child. */
const HEAP_MIB = 160;

function start({ env, heapMib = HEAP_MIB }: AuditorOptions): ChildProcess {
  const { path, execArgv } = scriptBeside(import.meta.url, 'child');
  return fork(path, [], {
    execArgv: [...execArgv, `--max-old-space-size=${heapMib}`],
    env,
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
}

function errorOf({ message, code }: Extract<FromAudit, { kind: 'failed' }>): Error {
  return Object.assign(new Error(message), code === undefined ? {} : { code });
}

function crashed(code: number | null, by: NodeJS.Signals | null, stderr: string): LifecycleError {
  const how = by ?? `code ${String(code)}`;
  return new LifecycleError('server_error', `The process of the audit ended with ${how}. ${stderr.trim()}`.trim());
}

/** Gives the child its order. @throws as {@link Auditor.verify} */
function ask(child: ChildProcess, order: AuditOrder, { signal, onProgress }: VerifyOptions): Promise<VerifyReport> {
  let stderr = '';
  child.stderr?.setEncoding('utf8');
  child.stderr?.on('data', (text: string) => (stderr = keepEnd(stderr + text, STDERR_KEPT)));
  return new Promise((resolve, reject) => {
    child.on('message', (message) => {
      const said = message as FromAudit; // only our own child writes here
      if (said.kind === 'progress') onProgress?.(said.progress);
      else if (said.kind === 'report') resolve(said.report);
      else reject(errorOf(said));
    });
    child.once('error', reject);
    // After its last message and the end of its stderr: one that has answered is settled by then.
    child.once('close', (code, by) => reject(crashed(code, by, stderr)));
    signal?.addEventListener('abort', () => reject(new Error('the audit was cancelled')), { once: true });
    child.send(order, (error) => error && child.kill('SIGKILL')); // how it closes says why
  });
}

/** The caller closes it. */
export function createAuditor(options: AuditorOptions): Auditor {
  const { connectionString, blobDir } = options;
  let running: ChildProcess | undefined;
  let isClosed = false;
  return {
    get pid() {
      return running?.pid;
    },
    async verify(asked) {
      if (isClosed) throw stopping();
      if (running) throw new LifecycleError('conflict', 'An audit is running. Wait for it, or cancel it.');
      asked.signal?.throwIfAborted();
      const child = (running = start(options));
      const gone = new Promise<void>((resolve) => child.once('close', resolve).once('error', () => resolve()));
      const { fast = false, checkpoints = [] } = asked;
      try {
        return await ask(child, { connectionString, blobDir, fast, checkpoints }, asked);
      } catch (error) {
        throw isClosed ? stopping() : error;
      } finally {
        child.kill('SIGKILL');
        await gone; // the next one may begin
        running = undefined;
      }
    },
    close() {
      isClosed = true;
      running?.kill('SIGKILL');
    },
  };
}

const stopping = () => new LifecycleError('unavailable', 'The server is being stopped.');
