/** `npm run check`: types, lint, boundaries, format, dead code and unit tests; two at a time, what failed is shown whole. */
import { spawn } from 'node:child_process';
import { realpathSync } from 'node:fs';
import { join } from 'node:path';
import { CHECKOUT } from './reach.ts';

const STEPS: readonly (readonly [name: string, bin: string, ...args: string[]])[] = [
  ['types', 'tsc', '--noEmit'],
  ['lint', 'eslint', '.', '--max-warnings', '0'],
  ['boundaries', 'depcruise', '.', '--config', '.dependency-cruiser.cjs', '--output-type', 'err'],
  ['format', 'prettier', '--check', '.', '--log-level', 'warn'],
  ['dead code', 'knip'],
  ['unit tests', 'vitest', 'run', '--project', 'unit'],
];

const print = (line: string): void => void process.stdout.write(`${line}\n`);

function run(bin: string, args: readonly string[]): Promise<{ ok: boolean; output: string }> {
  return new Promise((resolve) => {
    const file = realpathSync(join(CHECKOUT, 'node_modules', '.bin', bin));
    const child = spawn(process.execPath, [file, ...args], { cwd: CHECKOUT, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    const take = (chunk: Buffer): void => void (output += chunk.toString());
    child.stdout.on('data', take);
    child.stderr.on('data', take);
    child.once('close', (code) => resolve({ ok: code === 0, output }));
  });
}

const failed: string[] = [];
const waiting = [...STEPS];
let closing = '';
async function worker(): Promise<void> {
  for (let step = waiting.shift(); step !== undefined; step = waiting.shift()) {
    const [name, bin, ...args] = step;
    const began = performance.now();
    const { ok, output } = await run(bin, args);
    print(`${ok ? '✓' : '✗'} ${name} (${((performance.now() - began) / 1000).toFixed(1)} s)`);
    if (!ok) {
      failed.push(name);
      print(`${output.trimEnd()}\nAgain: npx ${[bin, ...args].join(' ')}`);
    }
    if (bin === 'vitest') closing = output.trimEnd().split('\n').at(-1) ?? '';
  }
}
await Promise.all([worker(), worker()]);
print(failed.length === 0 ? 'Everything holds.' : `Refused by: ${failed.join(', ')}.`);
if (closing !== '') print(`\n${closing}`);
process.exitCode = failed.length === 0 ? 0 : 1;
