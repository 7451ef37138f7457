/** Which code a snapshot was folded by: only the same code reads it, so that a changed machine starts from the first fact. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { machineFor } from '../../machines/registry.ts';

const ROOT = new URL('../../', import.meta.url);
/** `ts` in a checkout, `js` in a build: snapshots of the one are not read by the other, which costs one longer fold. */
const EXTENSION = import.meta.url.slice(-2);
const XSTATE = createRequire(import.meta.url)('xstate/package.json') as { readonly version: string };
/** Every relative import that leaves code behind. */
const IMPORT = /^(?:import|export)\s(?!type\b)[^;]*?'(\.[^']+)'/gm;

/** The files that `entries` consist of, imports of imports included. */
function filesOf(entries: readonly URL[]): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  const visit = (file: URL) => {
    if (found.has(file.href)) return;
    const text = readFileSync(file, 'utf8');
    found.set(file.href, text);
    for (const [, path] of text.matchAll(IMPORT)) visit(new URL(path!, file));
  };
  entries.forEach(visit);
  return found;
}

/** SHA-256 over what a fold by `machine` runs: the chart, the fold, the codec, XState. */
export function codeDigest(machine: string): string {
  const chart = `machines/${machine.split('@')[0]!}`;
  const entries = [chart, 'domain/events/codec', 'store/snapshots/snapshot'];
  const hash = createHash('sha256').update(XSTATE.version);
  const files = [...filesOf(entries.map((path) => new URL(`${path}.${EXTENSION}`, ROOT)))];
  for (const [, text] of files.sort(([a], [b]) => (a < b ? -1 : 1))) hash.update('\0').update(text);
  return hash.digest('hex');
}

const keys = new Map<string, string>();

/** Under which a snapshot of `stream` is kept: `rollout@1:<digest>`. @throws Error for a stream that is none of ours (a bug) */
export function foldKeyOf(stream: string): string {
  const { name } = machineFor(stream);
  const known = keys.get(name);
  if (known !== undefined) return known;
  const key = `${name}:${codeDigest(name).slice(0, 32)}`;
  keys.set(name, key);
  return key;
}
