/** What `dev/run.mjs` does with a signal while it installs: nothing more is started after it. */
import { spawn } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { childEnvironment } from '../environment.ts';
import { identify } from './processes.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'edgeml-run-'));
  mkdirSync(join(folder, 'dev'));
  mkdirSync(join(folder, 'bin'));
  cpSync(join(import.meta.dirname, 'run.mjs'), join(folder, 'dev', 'run.mjs'));
  writeFileSync(join(folder, 'package-lock.json'), '{}');
  writeFileSync(
    join(folder, 'dev', 'target.mjs'),
    `import { writeFileSync } from 'node:fs'; writeFileSync('started', '');`,
  );
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** A checkout that has nothing installed, whose npm is this script; the signal comes while it is at work. */
async function whileInstalling(npm: string, signal: NodeJS.Signals, reach: 'group' | 'process') {
  writeFileSync(join(folder, 'bin', 'npm'), `#!/bin/sh\n${npm}\n`);
  chmodSync(join(folder, 'bin', 'npm'), 0o755);
  const path = [join(folder, 'bin'), dirname(process.execPath), '/usr/bin', '/bin'].join(delimiter);
  const child = spawn(process.execPath, [join(folder, 'dev', 'run.mjs'), 'dev/target.mjs'], {
    cwd: folder,
    detached: true,
    stdio: 'ignore',
    env: childEnvironment({ PATH: path }),
  });
  const pid = () => (existsSync(join(folder, 'pid')) ? readFileSync(join(folder, 'pid'), 'utf8').trim() : '');
  while (pid() === '') await new Promise((resolve) => setTimeout(resolve, 10));
  const ended = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)));
  process.kill(reach === 'group' ? -child.pid! : child.pid!, signal);
  return { code: await ended, npm: identify(Number(pid())), isStarted: existsSync(join(folder, 'started')) };
}

describe('a signal during npm ci', () => {
  it.each([
    ['SIGINT', 'group', 130],
    ['SIGINT', 'process', 130],
    ['SIGTERM', 'process', 143],
  ] as const)('%s to a %s ends npm and starts nothing', async (signal, reach, code) => {
    const ended = await whileInstalling('echo $$ > pid; exec sleep 600', signal, reach);
    expect(ended).toEqual({ code, npm: undefined, isStarted: false });
  });

  it('is not forgotten where npm goes on to its end', async () => {
    const npm = `trap 'touch heard' INT; echo $$ > pid; while [ ! -e heard ]; do sleep 0.05; done; exit 0`;
    expect(await whileInstalling(npm, 'SIGINT', 'process')).toEqual({ code: 130, npm: undefined, isStarted: false });
  });
});
