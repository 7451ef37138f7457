/** A Postgres cluster for each worker and one Temporal dev server a run, in `.edgeml/test-<pid>`; removed at the end, whatever a killed run left too. */
import { readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { TestProject } from 'vitest/node';
import { launcherOf } from '../../dev/homeLock.ts';
import { identify } from '../../dev/processes.ts';
import { removeHome, startStack, type Stack } from '../../dev/stack.ts';
import { endLeftovers } from '../../dev/stackFile.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** The run's folder; each file makes its own below it. */
    testHome: string;
    /** One for each worker: an open transaction holds the log of every database of its cluster back. */
    clusters: { adminUrl: string; appUrl: string }[];
    temporal: { address: string; namespace: string };
  }
}

const ROOT = resolve('.edgeml');

/** Ends and removes the runs whose launcher is dead, with the servers that their files had started. */
async function sweep(): Promise<void> {
  const homes = readdirSync(ROOT, { withFileTypes: true }).filter(({ name }) => /^test-\d+$/.test(name));
  for (const { name } of homes) {
    const home = join(ROOT, name);
    if (identify(Number(name.slice(5))) !== undefined || launcherOf(home) !== undefined) continue;
    await removeRun(home);
  }
}

async function removeRun(home: string): Promise<void> {
  for (const inner of readdirSync(home, { withFileTypes: true })) {
    if (!inner.isDirectory() || !/-[0-9a-f]{8}$/.test(inner.name)) continue;
    await endLeftovers(join(home, inner.name));
    removeHome(join(home, inner.name));
  }
  await endLeftovers(home);
  removeHome(home);
}

/** As many files run at once (`vitest.config.ts`). */
const WORKERS = 2;

interface Shared {
  users: number;
  readonly stacks: Promise<Stack[]>;
}

/** Each project loads this file anew, so what they share hangs on the process. */
const shared = globalThis as typeof globalThis & { edgemlTestStack?: Shared }; // the one member we add ourselves

async function start(home: string): Promise<Stack[]> {
  const options = { durable: false, external: {}, say: (line: string) => void process.stderr.write(`${line}\n`) };
  const stacks = [await startStack({ ...options, home, services: ['postgres', 'temporal'] })];
  while (stacks.length < WORKERS) {
    const own = join(home, `cluster-${stacks.length.toString(16).padStart(8, '0')}`); // as `removeRun` looks for
    stacks.push(await startStack({ ...options, home: own, services: ['postgres'] }));
  }
  await sweep();
  return stacks;
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const home = join(ROOT, `test-${process.pid}`);
  const mine = (shared.edgemlTestStack ??= { users: 0, stacks: start(home) });
  mine.users += 1;
  const stacks = await mine.stacks;
  project.provide('testHome', home);
  project.provide(
    'clusters',
    stacks.map(({ cluster }) => ({ adminUrl: cluster!.adminUrl(), appUrl: cluster!.appUrl() })),
  );
  project.provide('temporal', { address: stacks[0]!.env['TEMPORAL_ADDRESS'] ?? '', namespace: 'default' });
  return async () => {
    mine.users -= 1;
    if (mine.users > 0) return;
    delete shared.edgemlTestStack;
    await Promise.all(stacks.map((stack) => stack.stop()));
    await removeRun(home);
  };
}
