/**
 * `node dev/run.mjs [--bin] <file or program> [arguments]`: installs what the lock file asks for if that has not been done, then runs the
 * file with tsx, or the installed program. Node's own modules only, since it runs before anything is installed. The scripts of package.json
 * that start services say `exec`: the shell between npm and this file would keep a signal that npm passes on to itself.
 */
import { spawn } from 'node:child_process';
import { realpathSync, statSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const [first, ...rest] = process.argv.slice(2);
const isBin = first === '--bin';
const [target, ...args] = isBin ? rest : [first, ...rest];
if (target === undefined) {
  console.error('usage: node dev/run.mjs [--bin] <file or program> [arguments]');
  process.exit(2);
}

/** @returns {number} 0 for a file that is not there */
const changedAt = (path) => statSync(join(root, path), { throwIfNoEntry: false })?.mtimeMs ?? 0;

/** What runs now, and the first signal that came: after it nothing more is started. */
let child;
let asked;
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(name, () => {
    asked ??= name;
    child?.kill(name);
  });
}
const codeOf = (name) => 128 + constants.signals[name];

/** Runs to the end, passing signals on. A child that a signal ended answers as a shell would: 128 and its number. */
function run(command, argv, env) {
  return new Promise((resolve) => {
    child = spawn(command, argv, { cwd: root, stdio: 'inherit', env });
    child.once('error', (error) => {
      console.error(`${command} cannot be run: ${error.message}`);
      resolve(127);
    });
    child.once('exit', (code, name) => resolve(code ?? codeOf(name)));
  });
}

if (changedAt('node_modules/.package-lock.json') < changedAt('package-lock.json')) {
  console.error('Installing what package-lock.json asks for (npm ci) …');
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
  // The postinstall of onnxruntime-node fetches GPU libraries that we do not use, from an address that may not answer.
  const env = { ...process.env, ONNXRUNTIME_NODE_INSTALL: 'skip' };
  const code = await run(npm, ['ci', '--include=dev', '--include=optional', '--no-audit', '--no-fund'], env);
  if (asked !== undefined) process.exit(codeOf(asked));
  if (code !== 0) {
    console.error('npm ci failed, so nothing was started. Mend what it says above, then run the same command again.');
    process.exit(code);
  }
}

const argv = isBin
  ? [realpathSync(join(root, 'node_modules', '.bin', target))]
  : ['--import', 'tsx', join(root, target)];
process.exitCode = await run(process.execPath, [...argv, ...args], process.env);
