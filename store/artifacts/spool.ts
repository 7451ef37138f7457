/**
 * Files under way: `spool/` below a store's root, of the same file system as what they become. A name says which process writes it, so a
 * leftover of a process that is gone is known at once.
 */
import { createHash, randomBytes } from 'node:crypto';
import { readlinkSync } from 'node:fs';
import { readdir, rm, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { makeFolder } from './folder.ts';

const DAY_MS = 86_400_000;

/** Process ids mean something within one namespace of one host only. */
function namespace(): string {
  try {
    return readlinkSync('/proc/self/ns/pid');
  } catch {
    return '';
  }
}

const HERE = createHash('sha256').update(`${hostname()} ${namespace()}`).digest('hex').slice(0, 16);
/** Tells this process from an earlier one with the same id, as in a container that was started again. */
const SELF = `${HERE}.${process.pid}.${randomBytes(8).toString('hex')}`;
let made = 0;

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // Somebody else's process is one, too.
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
};

/** Whether the process that wrote a file is gone; undefined where that cannot be known from here. */
function isOrphan(name: string): boolean | undefined {
  const [here, pid] = name.split('.');
  if (here !== HERE || pid === undefined) return undefined;
  if (name.startsWith(`${SELF}.`)) return false;
  return Number(pid) === process.pid || !isAlive(Number(pid));
}

export interface Spool {
  /** Makes the folder. */
  prepare(): Promise<void>;
  /** The path of a new file. */
  fresh(): string;
  /** Removes what no process will finish: files of processes that are gone, and whatever is a day old. */
  sweep(): Promise<void>;
}

export function spoolBelow(root: string): Spool {
  const folder = join(root, 'spool');
  return {
    prepare: async () => void (await makeFolder(folder)),
    fresh: () => join(folder, `${SELF}.${(made += 1)}`),
    async sweep() {
      await makeFolder(folder);
      for (const name of await readdir(folder)) {
        const path = join(folder, name);
        const isOld = async () =>
          Date.now() - ((await stat(path).catch(() => undefined))?.mtimeMs ?? Infinity) > DAY_MS;
        if (isOrphan(name) ?? (await isOld())) await rm(path, { force: true });
      }
    },
  };
}
