/** The quick preset as a whole, by its command. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { join } from 'node:path';
import { expect, it } from 'vitest';

it('meets every goal, and each judgement recomputes', async () => {
  const bench = join(import.meta.dirname, '..', 'rollout.ts');
  const { stdout } = await promisify(execFile)(process.execPath, ['--import', 'tsx', bench]);
  expect(stdout).toMatch(/(\d+) of \1 goals met, 0 runs with a forged judgement/);
}, 900_000);
