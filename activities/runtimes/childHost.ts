/** A short-lived child process that answers one message with one, within limits of time and memory, or is killed. */
import { fork, type ChildProcess } from 'node:child_process';
import { residentBytes } from './memory.ts';
import { keepEnd } from '../../domain/text.ts';
import { scriptBeside } from '../../store/script.ts';

export interface ChildLimits {
  /** For each question. */
  readonly timeoutMs: number;
  readonly rssBytes: number;
}

/** Why a child gave no answer; after any of these it is gone. */
export interface ChildFailure {
  readonly failure: 'timeout' | 'memory' | 'crash';
  readonly detail: string;
}

export interface ChildHost<To, From> {
  readonly pid: number | undefined;
  /** One question at a time. @throws the signal's reason; the child is killed then */
  ask(message: To, signal?: AbortSignal): Promise<From | ChildFailure>;
  /** SIGKILL, which also ends a stopped or spinning child. Harmless twice. */
  close(): void;
}

const RSS_EVERY_MS = 100;
const STDERR_KEPT = 2000;

function start(name: string): ChildProcess {
  const { path, execArgv } = scriptBeside(import.meta.url, name);
  // An empty environment: keys and addresses of this process are none of a model's business.
  return fork(path, [], {
    execArgv: [...execArgv],
    env: {},
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
}

/** Starts the child `<name>.ts` of this folder, which takes `To` and answers `From`. It ends with {@link ChildHost.close}, with its limits, or with this process. */
export function hostChild<To extends object, From extends object>(
  name: string,
  limits: ChildLimits,
): ChildHost<To, From> {
  const child = start(name);
  let stderr = '';
  let ended: ChildFailure | undefined;
  let settle: ((answer: From | ChildFailure) => void) | undefined;

  const end = (failure: ChildFailure) => {
    ended ??= failure;
    child.kill('SIGKILL');
    settle?.(ended);
  };
  child.stderr?.setEncoding('utf8');
  child.stderr?.on('data', (text: string) => (stderr = keepEnd(stderr + text, STDERR_KEPT)));
  child.on('message', (message) => settle?.(message as From)); // only our own child writes here
  child.on('error', (error) => end({ failure: 'crash', detail: error.message }));
  child.on('exit', (code, by) => {
    const how = by === null ? `code ${String(code)}` : by;
    end({ failure: 'crash', detail: `the runtime's process ended with ${how}. ${stderr.trim()}`.trim() });
  });

  /** Looks at the child's memory while a question is open. */
  const watchMemory = () => {
    const timer = setInterval(() => {
      void residentBytes(child.pid ?? 0).then((rss) => {
        if (rss === undefined || rss <= limits.rssBytes) return;
        end({ failure: 'memory', detail: `the runtime's process took ${rss} bytes, ${limits.rssBytes} are allowed` });
      });
    }, RSS_EVERY_MS);
    return () => clearInterval(timer);
  };

  return {
    pid: child.pid,
    async ask(message, signal) {
      signal?.throwIfAborted();
      if (ended) return ended;
      if (settle) throw new Error('a child answers one question at a time');
      let abort: (() => void) | undefined;
      const answer = new Promise<From | ChildFailure>((resolve, reject) => {
        settle = resolve;
        abort = () => {
          child.kill('SIGKILL');
          reject(signal!.reason as Error);
        };
      });
      const timer = setTimeout(() => {
        end({ failure: 'timeout', detail: `the runtime gave no answer within ${limits.timeoutMs} ms` });
      }, limits.timeoutMs);
      const stopWatching = watchMemory();
      if (abort) signal?.addEventListener('abort', abort);
      try {
        child.send(message, (error) => {
          if (!error) return;
          stderr += ` ${error.message}`; // the child is ending, or is ended: its exit says how
          child.kill('SIGKILL');
        });
        return await answer;
      } finally {
        settle = undefined;
        clearTimeout(timer);
        stopWatching();
        if (abort) signal?.removeEventListener('abort', abort);
      }
    },
    close: () => void child.kill('SIGKILL'),
  };
}
