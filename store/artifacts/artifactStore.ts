/** The port of the blobs, and of small objects with names. Durable when it returns; concurrent; a blob is named by its SHA-256. */
import type { Readable } from 'node:stream';

export interface BlobStat {
  readonly sha256: string;
  readonly bytes: number;
}

export interface ArtifactStore {
  /**
   * Spools while hashing, then moves into place. Half a stream leaves nothing behind.
   *
   * @throws LifecycleError `payload_too_large` past `max`; `checksum_mismatch` if `sha256` is given and differs
   */
  put(source: Readable | Uint8Array, options: { readonly max: number; readonly sha256?: string }): Promise<BlobStat>;
  /** A stream of the bytes, or of `[start, end]` (both inclusive). @throws LifecycleError `blob_unknown` */
  get(sha256: string, range?: { readonly start: number; readonly end: number }): Promise<Readable>;
  /** All bytes at once. @throws LifecycleError `blob_unknown`; `checksum_mismatch` if the bytes on disk no longer fit */
  bytes(sha256: string): Promise<Uint8Array>;
  stat(sha256: string): Promise<BlobStat | undefined>;
  remove(sha256: string): Promise<void>;
}

/**
 * Small objects that are written once under a name, such as `checkpoints/a/001`: parts of `A-Z a-z 0-9 . _ -`, none beginning with a
 * dot, between slashes. Nothing here changes or removes one. A service like S3 does the first by a conditional put (`If-None-Match: *`)
 * and the last by a listing with a delimiter.
 */
export interface NamedStore {
  /** @returns false, and nothing is changed, where the name is taken. A fault leaves it unknown: read it again */
  putIfAbsent(name: string, bytes: Uint8Array): Promise<boolean>;
  /** Undefined where there is none. */
  read(name: string): Promise<Uint8Array | undefined>;
  /** Names of the objects and folders right below a folder, sorted; none where there is no such folder. */
  list(folder: string): Promise<string[]>;
}
