/**
 * Postgres refuses to run as root, so root runs it as another user, who must reach the binaries and the data. Below a closed folder
 * (a checkout in a 0700 home) it cannot: then both go to `/var/tmp/edgeml-<hash of the checkout>`.
 */
import { createHash } from 'node:crypto';
import { chmodSync, lstatSync, mkdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';

export interface RunAs {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

export const CHECKOUT = resolve(import.meta.dirname, '..');

/** Whom root lends Postgres to: `postgres` if the system has that user, else `nobody`. Undefined: we are not root. @throws Error: neither */
export function postgresUser(): RunAs | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const lines = readFileSync('/etc/passwd', 'utf8').split('\n');
  for (const name of ['postgres', 'nobody']) {
    const fields = lines.find((line) => line.startsWith(`${name}:`))?.split(':');
    if (fields !== undefined) return { name, uid: Number(fields[2]) | 0, gid: Number(fields[3]) | 0 };
  }
  throw new Error(
    'Postgres does not run as root, and this system has no user postgres or nobody: start as a normal user.',
  );
}

/** The first folder on the way to `path` that a stranger may not pass; undefined if the way is open. Missing ends are ours to make. */
export function closedParent(path: string): string | undefined {
  const folders: string[] = [];
  for (let at = resolve(path); ; at = dirname(at)) {
    folders.unshift(at);
    if (at === dirname(at)) break;
  }
  for (const folder of folders) {
    const stat = statSync(folder, { throwIfNoEntry: false });
    if (stat === undefined) return undefined;
    if (stat.isDirectory() && (stat.mode & 0o001) === 0) return folder;
  }
  return undefined;
}

/** The open folder for this checkout; made if missing. @throws Error if someone else made it: root must not trust its contents */
export function openFolder(): string {
  const hash = createHash('sha256').update(realpathSync(CHECKOUT)).digest('hex').slice(0, 12);
  const folder = `/var/tmp/edgeml-${hash}`;
  mkdirSync(folder, { recursive: true });
  const stat = lstatSync(folder);
  if (!stat.isDirectory() || stat.uid !== process.getuid?.() || (stat.mode & 0o022) !== 0) {
    throw new Error(
      `${folder} is not ours alone (owner ${stat.uid}, mode ${(stat.mode & 0o777).toString(8)}): remove it.`,
    );
  }
  chmodSync(folder, 0o755);
  return folder;
}
