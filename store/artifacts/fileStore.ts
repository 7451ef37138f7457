/** Blobs as files under one root: `sha256/<first two digits>/<digest>`, spooled in `spool/` of the same file system. */
import { createHash, randomUUID } from 'node:crypto';
import { open, readdir, readFile, rename, rm, stat, type FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { LifecycleError } from '../../domain/errors.ts';
import type { ArtifactStore, BlobStat } from './artifactStore.ts';
import { isAbsent, makeFolder, syncFolder } from './folder.ts';

const DAY_MS = 86_400_000;
const isDigest = (text: string) => /^[0-9a-f]{64}$/.test(text);
const unknown = (sha256: string) =>
  new LifecycleError('blob_unknown', `no bytes with SHA-256 ${sha256} are stored; upload them first`);

/** Half a copy can only be a leftover of a crash once it is a day old; a younger one may still be growing. */
async function sweep(spool: string): Promise<void> {
  for (const name of await readdir(spool)) {
    const path = join(spool, name);
    const at = await stat(path).catch(() => undefined);
    if (at && Date.now() - at.mtimeMs > DAY_MS) await rm(path, { force: true });
  }
}

async function copyAndHash(source: Readable | Uint8Array, to: FileHandle, max: number): Promise<BlobStat> {
  const hash = createHash('sha256');
  let bytes = 0;
  // The source is left open: an HTTP door still has to answer on its connection.
  const chunks: Iterable<unknown> | AsyncIterable<unknown> =
    source instanceof Uint8Array ? [source] : source.iterator({ destroyOnReturn: false });
  for await (const part of chunks) {
    // Safe: a stream that is not in object mode gives strings or bytes.
    const chunk = typeof part === 'string' ? Buffer.from(part) : (part as Uint8Array);
    bytes += chunk.length;
    if (bytes > max)
      throw new LifecycleError('payload_too_large', `more than the ${max} bytes allowed here`, { more: { max } });
    hash.update(chunk);
    for (let at = 0; at < chunk.length;) at += (await to.write(chunk, at)).bytesWritten;
  }
  return { sha256: hash.digest('hex'), bytes };
}

/**
 * Several processes may share `root`. A crash before the rename leaves a file in `spool/`, swept after a day; after it, the
 * blob. Putting bytes again replaces the file with equal ones, which mends a damaged copy. `put` neither holds the bytes in
 * memory nor destroys its source. `get` past the end throws `bad_range`.
 */
export function createFileStore(root: string): ArtifactStore {
  const spool = join(root, 'spool');
  const folderOf = (sha256: string) => join(root, 'sha256', sha256.slice(0, 2));
  const pathOf = (sha256: string) => join(folderOf(sha256), sha256);
  let ready: Promise<void> | undefined;
  // A fault is told to those who wait and not kept: the next put tries again.
  const prepare = () =>
    (ready ??= (async () => {
      await makeFolder(spool);
      await sweep(spool);
    })().catch((error: unknown) => {
      ready = undefined;
      throw error;
    }));

  const settled = new Set<string>();
  /** A blob's folder, made to last by this process once: another may have made it and not have synced it yet. */
  async function settle(folder: string): Promise<void> {
    const isNew = await makeFolder(folder);
    if (!isNew && settled.has(folder)) return;
    await syncFolder(dirname(folder));
    await syncFolder(root);
    settled.add(folder);
  }

  const store: ArtifactStore = {
    async put(source, { max, sha256 }) {
      await prepare();
      const temp = join(spool, randomUUID());
      const file = await open(temp, 'wx', 0o600);
      try {
        const blob = await copyAndHash(source, file, max);
        if (sha256 !== undefined && sha256 !== blob.sha256) {
          throw new LifecycleError(
            'checksum_mismatch',
            `expected SHA-256 ${sha256}, the bytes have ${blob.sha256}; send them again`,
          );
        }
        await file.sync();
        await settle(folderOf(blob.sha256));
        await rename(temp, pathOf(blob.sha256));
        await syncFolder(folderOf(blob.sha256));
        return blob;
      } catch (error) {
        await rm(temp, { force: true });
        throw error;
      } finally {
        await file.close();
      }
    },

    async stat(sha256) {
      if (!isDigest(sha256)) return undefined;
      try {
        return { sha256, bytes: (await stat(pathOf(sha256))).size };
      } catch (error) {
        if (isAbsent(error)) return undefined;
        throw error;
      }
    },

    async get(sha256, range) {
      const blob = await store.stat(sha256);
      if (!blob) throw unknown(sha256);
      if (range && (range.start > range.end || range.start < 0 || range.start >= blob.bytes)) {
        throw new LifecycleError(
          'bad_range',
          `bytes ${range.start}-${range.end} lie outside the ${blob.bytes} there are`,
        );
      }
      // Opened before it is answered: a removal meanwhile does not cut the stream short.
      const file = await open(pathOf(sha256), 'r').catch((error: unknown) => {
        throw isAbsent(error) ? unknown(sha256) : error;
      });
      return file.createReadStream(range ?? {});
    },

    async bytes(sha256) {
      if (!isDigest(sha256)) throw unknown(sha256);
      const bytes = await readFile(pathOf(sha256)).catch((error: unknown) => {
        throw isAbsent(error) ? unknown(sha256) : error;
      });
      const found = createHash('sha256').update(bytes).digest('hex');
      if (found === sha256) return bytes;
      throw new LifecycleError(
        'checksum_mismatch',
        `the stored bytes of ${sha256} have become ${found}; put them again`,
      );
    },

    remove: async (sha256) => (isDigest(sha256) ? rm(pathOf(sha256), { force: true }) : undefined),
  };
  return store;
}
