/** One launcher a home. The lock names its holder by identity, so that a killed one blocks nobody. */
import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { identify, isAlive, type Identity } from './processes.ts';

function holderOf(file: string): Identity | undefined {
  try {
    const held: unknown = JSON.parse(readFileSync(file, 'utf8'));
    if (typeof held !== 'object' || held === null || !('pid' in held) || !('started' in held)) return undefined;
    return typeof held.pid === 'number' && typeof held.started === 'string'
      ? { pid: held.pid, started: held.started }
      : undefined;
  } catch {
    return undefined;
  }
}

/** Links a complete file into place: either nobody held it, or EEXIST. */
function tryTake(file: string, mine: string): boolean {
  try {
    linkSync(mine, file);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false;
    throw error;
  }
}

/** Who launches this home now, if anyone. */
export function launcherOf(home: string): Identity | undefined {
  const holder = holderOf(join(home, 'stack.lock'));
  return holder !== undefined && isAlive(holder) ? holder : undefined;
}

/** Takes the home for this process, or says who has it. A stale lock is moved away by exactly one of several that find it. */
export function lockHome(home: string): { release: () => void } | { holder: Identity } {
  mkdirSync(home, { recursive: true });
  const file = join(home, 'stack.lock');
  const mine = `${file}.${process.pid}.${Date.now()}`;
  writeFileSync(mine, JSON.stringify(identify(process.pid)), { mode: 0o600 });
  try {
    for (;;) {
      if (tryTake(file, mine)) return { release: () => rmSync(file, { force: true }) };
      const holder = holderOf(file);
      if (holder !== undefined && isAlive(holder)) return { holder };
      const aside = `${mine}.stale`;
      try {
        renameSync(file, aside);
      } catch {
        continue; // another finder was faster
      }
      const moved = holderOf(aside);
      // Between our look and our rename another may have taken it: then it is theirs, and goes back.
      if (moved !== undefined && isAlive(moved)) tryTake(file, aside);
      rmSync(aside, { force: true });
    }
  } finally {
    rmSync(mine, { force: true });
  }
}
