/** Processes by identity: a pid and when it started, so that a number the system has given away again is never signalled. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

export interface Identity {
  readonly pid: number;
  /** Opaque; equal for the same process only, across reboots too. */
  readonly started: string;
}

function startedOnLinux(pid: number): string | undefined {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The second field is the command in brackets and may hold anything: count from behind it (proc(5): 3 state, 22 starttime).
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  if (fields[0] === 'Z' || fields[0] === 'X') return undefined;
  return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').slice(0, 8)}-${fields[19]}`;
}

function startedElsewhere(pid: number): string | undefined {
  const out = execFileSync('ps', ['-o', 'stat=,lstart=', '-p', String(pid)], {
    encoding: 'utf8',
    stdio: 'pipe',
  }).trim();
  const space = out.indexOf(' ');
  return out === '' || out.startsWith('Z') ? undefined : out.slice(space + 1).trim();
}

/** The process that has this pid now; undefined if none, or if it has ended and waits to be reaped. */
export function identify(pid: number): Identity | undefined {
  try {
    const started = process.platform === 'linux' ? startedOnLinux(pid) : startedElsewhere(pid);
    return started === undefined ? undefined : { pid, started };
  } catch {
    return undefined;
  }
}

/** The very process, not a later one of the same number. */
export function isAlive(identity: Identity): boolean {
  return identify(identity.pid)?.started === identity.started;
}

/** Sends a signal to the very process. Never throws for one that has gone. */
export function signal(identity: Identity, name: NodeJS.Signals): void {
  if (!isAlive(identity)) return;
  try {
    process.kill(identity.pid, name);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}

async function isGoneWithin(identity: Identity, ms: number): Promise<boolean> {
  const deadline = Date.now() + ms;
  while (isAlive(identity)) {
    if (Date.now() > deadline) return false;
    await delay(20);
  }
  return true;
}

/** Asks a process to end, and ends it after `graceMs`. Returns when it has gone. @throws Error if even SIGKILL leaves it there */
export async function endProcess(
  identity: Identity,
  polite: NodeJS.Signals = 'SIGTERM',
  graceMs = 10_000,
): Promise<void> {
  signal(identity, polite);
  if (await isGoneWithin(identity, polite === 'SIGKILL' ? 0 : graceMs)) return;
  signal(identity, 'SIGKILL');
  if (!(await isGoneWithin(identity, 10_000)))
    throw new Error(`process ${identity.pid} does not end, not even by SIGKILL`);
}
