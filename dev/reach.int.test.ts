/** Root starts a Postgres that may not run as root, from a folder that others may not enter. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { until } from '../test/support/log.ts';
import { CHECKOUT, closedParent } from './reach.ts';

const isRoot = process.getuid?.() === 0;

interface Launched {
  readonly child: ChildProcess;
  readonly output: () => string;
}

/** Postgres alone, launched by another process of the given user from the given checkout; answers once a query has run. */
async function launchPostgres(
  checkout: string,
  home: string,
  as: { uid?: number; gid?: number } = {},
): Promise<Launched> {
  const code = `import { startStack } from './dev/stack.ts'; import { withAdmin } from './dev/postgres.ts';
    const stack = await startStack({ home: ${JSON.stringify(home)}, services: ['postgres'], external: {}, durable: false, say: console.log });
    const who = await withAdmin(stack.cluster.adminUrl(), async (db) => (await db.query('SELECT current_user AS u')).rows[0].u);
    process.on('SIGTERM', async () => { await stack.stop(); process.exit(0); });
    setInterval(() => {}, 1e6); console.log(JSON.stringify({ who, data: stack.cluster.data, binary: stack.cluster.binary }));`;
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', code], {
    cwd: checkout,
    ...as,
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
  await until(
    'Postgres answers',
    () => {
      if (child.exitCode !== null) throw new Error(`the launcher ended:\n${output}`);
      return output.includes('"who"');
    },
    50_000,
  );
  return { child, output: () => output };
}

async function end({ child }: Launched): Promise<number | null> {
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  await exited;
  return child.exitCode;
}

const found = (launched: Launched): { who: string; data: string; binary: string } =>
  JSON.parse(/\{"who".*\}/.exec(launched.output())?.[0] ?? '') as never; // printed by the script above

const NEEDS_ROOT = 'only root lends its Postgres to another user: run this one as root';
const PARTS = ['dev', 'store', 'domain', 'environment.ts', 'package.json', 'tsconfig.json'];

/** A checkout that the launcher runs from, in a new folder which everyone may enter, wherever this one lies. */
function copyOfCheckout(...below: string[]): { readonly folder: string; readonly checkout: string } {
  const folder = mkdtempSync('/var/tmp/edgeml-reach-');
  chmodSync(folder, 0o755);
  const checkout = join(folder, ...below, 'checkout');
  mkdirSync(checkout, { recursive: true });
  for (const part of PARTS) cpSync(join(CHECKOUT, part), join(checkout, part), { recursive: true });
  const [from, to] = [join(CHECKOUT, 'node_modules'), join(checkout, 'node_modules')];
  // Links where it is one file system.
  execFileSync('sh', ['-c', 'cp -al "$0" "$1" 2>/dev/null || { rm -rf "$1"; cp -a "$0" "$1"; }', from, to]);
  return { folder, checkout };
}

describe('root', () => {
  it('runs Postgres from a checkout inside a 0700 folder, with binaries and data where its user can reach them', async ({
    skip,
  }) => {
    skip(!isRoot, NEEDS_ROOT);
    const { folder, checkout } = copyOfCheckout('closed');
    const closed = join(folder, 'closed');
    chmodSync(closed, 0o700);
    const launched = await launchPostgres(checkout, join(checkout, '.edgeml'));
    const { who, data, binary } = found(launched);
    const elsewhere = /^\/var\/tmp\/edgeml-[0-9a-f]{12}/.exec(data)?.[0] ?? '';
    try {
      expect(who).toBe('postgres');
      expect(elsewhere).not.toBe('');
      expect(binary.startsWith(elsewhere)).toBe(true);
      expect(closedParent(binary)).toBeUndefined();
      expect(statSync(data).uid).not.toBe(0);
      expect(statSync(elsewhere).mode & 0o777).toBe(0o755);
      const lines = launched
        .output()
        .split('\n')
        .filter((line) => line.includes(elsewhere) && !line.startsWith('{'));
      expect(lines).toEqual([
        `Postgres may not run as root and ${closed} is closed to others: its data is in ${data}.`,
      ]);
    } finally {
      expect(await end(launched)).toBe(0);
      for (const made of [elsewhere, folder]) rmSync(made, { recursive: true, force: true });
    }
  });

  it('may also be a normal user: everything then is in the home', async ({ skip }) => {
    skip(!isRoot, NEEDS_ROOT);
    const { folder, checkout } = copyOfCheckout();
    const home = join(folder, 'home');
    const nobody = /^nobody:[^:]*:(\d+):(\d+)/m.exec(readFileSync('/etc/passwd', 'utf8'));
    const [uid, gid] = [Number(nobody?.[1]), Number(nobody?.[2])];
    mkdirSync(home);
    chownSync(home, uid, gid);
    const launched = await launchPostgres(checkout, home, { uid, gid });
    try {
      expect(found(launched)).toMatchObject({ who: 'postgres', data: join(home, 'postgres') });
      expect(statSync(join(home, 'postgres')).uid).toBe(uid);
    } finally {
      expect(await end(launched)).toBe(0);
    }
    expect(existsSync(join(home, 'stack.json'))).toBe(false);
    rmSync(folder, { recursive: true, force: true });
  });
});
