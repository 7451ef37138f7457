/** The file store keeps the contract of every blob store, and its folder tidy; what it says is stored has its name on disk too. */
import { mkdtemp, open, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { artifactStoreContract, namedStoreContract } from './artifactStore.contract.ts';
import { createFileStore } from './fileStore.ts';
import { createNamedFiles } from './namedStore.ts';

/** Paths in the order in which they were synced. The real calls are made: only a power cut would show one that is missing. */
const synced = vi.hoisted((): string[] => []);
vi.mock('node:fs/promises', async (original) => {
  const fs = await original<typeof import('node:fs/promises')>();
  return {
    ...fs,
    async open(...call: Parameters<typeof fs.open>) {
      const handle = await fs.open(...call);
      const sync = handle.sync.bind(handle);
      handle.sync = async () => {
        await sync();
        synced.push(String(call[0]));
      };
      return handle;
    },
  };
});

const roots: string[] = [];
const freshRoot = async () => {
  const root = await mkdtemp(join(tmpdir(), 'edgeml-blobs-'));
  roots.push(root);
  return root;
};
afterAll(() => Promise.all(roots.map((root) => rm(root, { recursive: true, force: true }))));

artifactStoreContract('files', async () => {
  const root = await freshRoot();
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

namedStoreContract('files', async () => createNamedFiles(await freshRoot()));

describe('the file store', () => {
  const bytes = Buffer.from('a model');

  it('syncs the folder of a new folder, up to the first that was there', async () => {
    const top = await freshRoot();
    const root = join(top, 'data', 'blobs');
    const syncedBy = async (store: ReturnType<typeof createFileStore>, what: Buffer) => {
      synced.length = 0;
      const { sha256 } = await store.put(what, { max: 100 });
      const paths = new Set(synced.map((path) => relative(top, path)).filter((path) => !path.includes('spool')));
      return { digits: sha256.slice(0, 2), paths };
    };
    const store = createFileStore(root);
    const first = await syncedBy(store, bytes);
    const blobs = join('data', 'blobs', 'sha256');
    const folder = join(blobs, first.digits);
    expect(first.paths).toEqual(new Set(['', 'data', join('data', 'blobs'), blobs, folder]));
    expect((await syncedBy(store, bytes)).paths).toEqual(new Set([folder]));
    // Another process may have made a folder and died before it synced it.
    const other = await syncedBy(createFileStore(root), bytes);
    expect(other.paths).toEqual(new Set([join('data', 'blobs'), blobs, folder]));
  });

  it('forgets a fault of its beginning: the next put tries again', async () => {
    const root = join(await freshRoot(), 'blobs');
    await writeFile(root, 'in the way');
    const store = createFileStore(root);
    await expect(store.put(bytes, { max: 100 })).rejects.toThrow();
    await rm(root);
    const { sha256 } = await store.put(bytes, { max: 100 });
    expect(Buffer.from(await store.bytes(sha256)).equals(bytes)).toBe(true);
  });
});
