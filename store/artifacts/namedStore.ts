/** Named objects as files under one root: `named/<name>`, written in `spool/` of the same file system. */
import { link, open, readdir, readFile, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { NamedStore } from './artifactStore.ts';
import { isAbsent, makeFolder, syncFolder } from './folder.ts';
import { spoolBelow } from './spool.ts';

const NAME = /^[A-Za-z0-9_-][A-Za-z0-9._-]*(\/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$/;
const isTaken = (error: unknown) => error instanceof Error && 'code' in error && error.code === 'EEXIST';

/**
 * Several processes may share `root`. The file appears whole or not at all: it is written aside and linked into place, which fails where
 * the name is taken. A crash before that leaves a file in `spool/`, which the blob store sweeps.
 */
export function createNamedFiles(root: string): NamedStore {
  const spool = spoolBelow(root);
  const pathOf = (name: string) => {
    if (NAME.test(name)) return join(root, 'named', name);
    throw new RangeError(`not a name of an object: ${JSON.stringify(name)}`);
  };
  return {
    async putIfAbsent(name, bytes) {
      const path = pathOf(name);
      await spool.prepare();
      await makeFolder(dirname(path));
      const temp = spool.fresh();
      const file = await open(temp, 'wx', 0o600);
      try {
        await file.writeFile(bytes);
        await file.sync();
        await link(temp, path);
        return true;
      } catch (error) {
        if (isTaken(error)) return false;
        throw error;
      } finally {
        await file.close();
        await rm(temp, { force: true });
        await syncFolder(dirname(path));
      }
    },

    async read(name) {
      try {
        return await readFile(pathOf(name));
      } catch (error) {
        if (isAbsent(error)) return undefined;
        throw error;
      }
    },

    async list(folder) {
      try {
        return (await readdir(pathOf(folder))).sort();
      } catch (error) {
        if (isAbsent(error)) return [];
        throw error;
      }
    },
  };
}
