/** Files under way: what dead processes leave is removed at once, what living ones write stays. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { createFileStore } from './fileStore.ts';

const root = await mkdtemp(join(tmpdir(), 'edgeml-spool-'));
afterAll(() => rm(root, { recursive: true, force: true }));
const spooled = () => readdir(join(root, 'spool')).catch(() => []);

/** Another process that has spooled some bytes and waits for more. */
async function writer() {
  const source = `
    import { createFileStore } from ${JSON.stringify(join(import.meta.dirname, 'fileStore.ts'))};
    async function* bytes() { yield Buffer.from('half'); console.log('waiting'); await new Promise(() => setInterval(() => {}, 1e3)); }
    await createFileStore(${JSON.stringify(root)}).spool(bytes(), { max: 100 });`;
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', source], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  return child;
}

it('a file of a process that was killed is swept at the next start, one of a living process is not', async () => {
  const child = await writer();
  expect(await spooled()).toHaveLength(1);
  await createFileStore(root).sweep();
  expect(await spooled()).toHaveLength(1);

  child.kill('SIGKILL');
  await once(child, 'exit');
  await createFileStore(root).sweep();
  expect(await spooled()).toEqual([]);
});

it('a file whose writer cannot be known stays for a day', async () => {
  const store = createFileStore(root);
  const own = await store.spool(Buffer.from('mine'), { max: 10 });
  for (const name of ['elsewhere.1.ab.1', 'of an older release']) await writeFile(join(root, 'spool', name), 'half');
  await createFileStore(root).sweep();
  expect(await spooled()).toHaveLength(3);

  const longAgo = new Date(Date.now() - 90_000_000);
  for (const name of await spooled()) await utimes(join(root, 'spool', name), longAgo, longAgo);
  await createFileStore(root).sweep();
  expect(await spooled()).toHaveLength(1); // our own, however old
  await own.keep();
  expect(await spooled()).toEqual([]);
  expect(Buffer.from(await store.bytes(own.sha256)).toString()).toBe('mine');
});
