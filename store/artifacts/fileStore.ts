/** Blobs as files under one root: `sha256/<first two digits>/<digest>`, spooled in `spool/` of the same file system. */
import type { Sha256 } from '../../domain/brands.ts';
import { createHash } from 'node:crypto';
import { open, readFile, rename, rm, stat, type FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { LifecycleError } from '../../domain/errors.ts';
import type { ArtifactStore, BlobStat, ByteSource } from './artifactStore.ts';
import { isAbsent, makeFolder, syncFolder } from './folder.ts';
import { spoolBelow } from './spool.ts';

const isDigest = (text: string) => /^[0-9a-f]{64}$/.test(text);
const unknown = (sha256: Sha256) =>
  new LifecycleError('blob_unknown', `no bytes with SHA-256 ${sha256} are stored; upload them first`);

async function copyAndHash(source: ByteSource, to: FileHandle, max: number): Promise<BlobStat> {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const part of source instanceof Uint8Array ? [source] : source) {
    const chunk = typeof part === 'string' ? Buffer.from(part) : part;
    bytes += chunk.length;
    if (bytes > max)
      throw new LifecycleError('payload_too_large', `more than the ${max} bytes allowed here`, { more: { max } });
    hash.update(chunk);
    for (let at = 0; at < chunk.length;) at += (await to.write(chunk, at)).bytesWritten;
  }
  return { sha256: hash.digest('hex'), bytes };
}

/**
 * Several processes may share `root`. A crash before the rename leaves a file in `spool/`, after it the blob. Putting bytes again
 * replaces the file with equal ones, which mends a damaged copy. `get` past the end throws `bad_range`.
 */
export function createFileStore(root: string): ArtifactStore {
  const spool = spoolBelow(root);
  const folderOf = (sha256: Sha256) => join(root, 'sha256', sha256.slice(0, 2));
  const pathOf = (sha256: Sha256) => join(folderOf(sha256), sha256);
  let ready: Promise<void> | undefined;
  // A fault is told to those who wait and not kept: the next one tries again.
  const sweepOnce = () =>
    (ready ??= spool.sweep().catch((error: unknown) => {
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
    async spool(source, { max }) {
      await sweepOnce();
      const temp = spool.fresh();
      const file = await open(temp, 'wx', 0o600);
      let isOpen = true;
      const discard = async () => {
        if (!isOpen) return;
        isOpen = false;
        await file.close().finally(() => rm(temp, { force: true }));
      };
      let blob: BlobStat;
      try {
        blob = await copyAndHash(source, file, max);
      } catch (error) {
        await discard();
        throw error;
      }
      return {
        ...blob,
        path: temp,
        discard,
        async keep() {
          const folder = folderOf(blob.sha256);
          await file.sync();
          await settle(folder);
          await rename(temp, pathOf(blob.sha256));
          await discard();
          await syncFolder(folder);
          return blob;
        },
      };
    },

    async put(source, { max, sha256 }) {
      const spooled = await store.spool(source, { max });
      try {
        if (sha256 !== undefined && sha256 !== spooled.sha256) {
          throw new LifecycleError(
            'checksum_mismatch',
            `expected SHA-256 ${sha256}, the bytes have ${spooled.sha256}; send them again`,
          );
        }
        return await spooled.keep();
      } finally {
        await spooled.discard();
      }
    },

    sweep: sweepOnce,

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
