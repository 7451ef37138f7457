/** Ctrl-C as it reaches a launcher, and the proof that nothing is left of what it had started. */
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { childEnvironment } from '../environment.ts';
import { until } from '../test/support/log.ts';
import { removeData } from './postgres.ts';
import { CHECKOUT } from './reach.ts';
import { readStack } from './stackFile.ts';

/** A terminal tells the whole process group, `kill` one process. */
export type Reach = 'group' | 'process';

export interface Launch {
  readonly command: readonly [file: string, ...args: string[]];
  readonly home: string;
  /** The home of the stack, if it is another one below. */
  readonly stackHome?: string;
  /** The fact that says "now". */
  readonly moment: (now: {
    readonly printed: string;
    readonly services: number;
    readonly here: readonly string[];
  }) => boolean;
  readonly reach: Reach;
  readonly signal?: NodeJS.Signals;
  /** How often it is sent. */
  readonly times?: number;
}

export interface Left {
  readonly code: number | null;
  readonly ended: NodeJS.Signals | null;
  readonly processes: readonly string[];
  readonly lock: boolean;
  readonly record: boolean;
  readonly printed: string;
}

/** Command lines of the processes that belong to a home: it is in their arguments, environment or working directory. */
export function processesOf(home: string): string[] {
  if (process.platform !== 'linux') {
    const lines = execFileSync('ps', ['-eww', '-o', 'pid=,args='], { encoding: 'utf8' }).split('\n');
    return lines.filter((line) => line.includes(home));
  }
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((pid) => {
      try {
        const read = (what: string) => readFileSync(`/proc/${pid}/${what}`, 'utf8').replaceAll('\0', ' ');
        const line = read('cmdline');
        return line !== '' && (line + read('environ')).includes(home) ? [`${pid} ${line}`] : [];
      } catch {
        return []; // it has gone meanwhile
      }
    });
}

/** Starts it, sends the signal at the moment, and looks at what is left once it has ended. */
export async function interrupted(l: Launch): Promise<Left> {
  const stackHome = l.stackHome ?? l.home;
  const [file, ...args] = l.command;
  const child = spawn(file, args, {
    cwd: CHECKOUT,
    detached: true, // a group of its own, as a shell gives it
    env: childEnvironment({ EDGEML_HOME: l.home, DATABASE_URL: '', NATS_URL: '', TEMPORAL_ADDRESS: '' }),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let printed = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (d: Buffer) => (printed += d.toString()));
  let end: { code: number | null; ended: NodeJS.Signals | null } | undefined;
  // `close` comes when the last one that holds its output has gone, not when the first has.
  const closed = new Promise<void>((resolve) =>
    child.once('close', (code, ended) => {
      end = { code, ended };
      resolve();
    }),
  );
  try {
    await until(
      'the moment has come',
      () => {
        if (end !== undefined) throw new Error('it ended by itself');
        const services = Object.keys(readStack(stackHome)?.services ?? {}).length;
        return l.moment({ printed, services, here: processesOf(l.home) });
      },
      240_000,
    );
  } catch (error) {
    if (end === undefined) process.kill(-child.pid!, 'SIGTERM');
    await closed;
    throw new Error(`${String(error)}; it printed:\n${printed}`, { cause: error });
  }
  const name = l.signal ?? 'SIGINT';
  for (let i = 0; i < (l.times ?? 1); i += 1) process.kill(l.reach === 'group' ? -child.pid! : child.pid!, name);
  await closed;
  const left = {
    ...end!,
    processes: processesOf(l.home),
    lock: existsSync(join(stackHome, 'stack.lock')),
    record: existsSync(join(stackHome, 'stack.json')),
    printed,
  };
  removeData(stackHome);
  return left;
}
