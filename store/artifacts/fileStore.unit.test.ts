/** The file store keeps the contract of every blob store, and its folder tidy. */
import { mkdtemp, open, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { artifactStoreContract } from './artifactStore.contract.ts';
import { createFileStore } from './fileStore.ts';

const roots: string[] = [];
afterAll(() => Promise.all(roots.map((root) => rm(root, { recursive: true, force: true }))));

artifactStoreContract('files', async () => {
  const root = await mkdtemp(join(tmpdir(), 'edgeml-blobs-'));
  roots.push(root);
  return {
    store: createFileStore(root),
    count: async () => (await readdir(root, { recursive: true, withFileTypes: true })).filter((e) => e.isFile()).length,
    async damage(sha256) {
      const file = await open(join(root, 'sha256', sha256.slice(0, 2), sha256), 'r+');
      const { buffer } = await file.read(Buffer.alloc(1), 0, 1, 7);
      await file.write(Buffer.of(buffer[0]! ^ 1), 0, 1, 7);
      await file.close();
    },
  };
});
