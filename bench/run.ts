/** Runs every benchmark of this folder, one after the other: the quick preset, or `--full`. Exits 1 if one gave a wrong answer. */
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';

const folder = import.meta.dirname;
const files = readdirSync(folder)
  .filter((name) => name.endsWith('.ts') && name !== 'run.ts')
  .sort();

/** Exit code of one benchmark, which writes to our terminal. */
const runOne = (file: string): Promise<number> =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['--import', 'tsx', join(folder, file), ...process.argv.slice(2)], {
      stdio: 'inherit',
    });
    child.on('error', reject);
    child.on('exit', (code) => resolve(code ?? 1));
  });

const failed: string[] = [];
for (const [i, file] of files.entries()) {
  console.log(`\n[${i + 1}/${files.length}] bench/${file}`);
  if ((await runOne(file)) !== 0) failed.push(file);
}
if (failed.length > 0) {
  console.error(`\nfailed: ${failed.join(', ')}; run one alone with: node --import tsx bench/${failed[0]}`);
  process.exitCode = 1;
}
