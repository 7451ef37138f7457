/** A program that is run to its end, or ended before it: when the call returns, nothing of it runs any more. */
import { spawn } from 'node:child_process';
import { Interrupted, refuseInterrupted } from './interruption.ts';

export interface RunOptions {
  readonly timeoutMs: number;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly uid?: number;
  readonly gid?: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Runs in a process group of its own, so that its children end with it.
 *
 * @throws Interrupted, after it has ended; Error with what it said last if it failed or took longer than `timeoutMs`
 */
export async function runToEnd(
  file: string,
  args: readonly string[],
  o: RunOptions,
): Promise<{ stdout: string; stderr: string }> {
  refuseInterrupted(o.signal);
  const { env, cwd, uid, gid } = o;
  const child = spawn(file, [...args], {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(env === undefined ? {} : { env }),
    ...(cwd === undefined ? {} : { cwd }),
    ...(uid === undefined ? {} : { uid }),
    ...(gid === undefined ? {} : { gid }),
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (d: Buffer) => (stdout += d.toString()));
  child.stderr.on('data', (d: Buffer) => (stderr += d.toString()));
  let ending: Error | undefined;
  const end = (why: Error, name: NodeJS.Signals) => {
    ending ??= why;
    try {
      if (child.pid !== undefined) process.kill(-child.pid, name);
    } catch {
      // It has gone already.
    }
  };
  const insist: NodeJS.Timeout[] = [];
  const stop = (why: Error) => {
    end(why, 'SIGTERM');
    insist.push(setTimeout(() => end(why, 'SIGKILL'), 5_000));
  };
  const onAbort = () => stop(new Interrupted());
  insist.push(setTimeout(() => stop(new Error(`${file} took longer than ${o.timeoutMs / 1000} s`)), o.timeoutMs));
  o.signal?.addEventListener('abort', onAbort, { once: true });
  try {
    // `close` comes when the last process that holds its output has gone.
    const how = await new Promise<string | undefined>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code, name) => resolve(code === 0 ? undefined : (name ?? `exit code ${code}`)));
    });
    if (ending !== undefined) throw ending;
    if (how !== undefined) throw new Error(`${stderr || stdout}`.trim() || `${file} ended: ${how}`);
    return { stdout, stderr };
  } finally {
    insist.forEach(clearTimeout);
    o.signal?.removeEventListener('abort', onAbort);
  }
}
