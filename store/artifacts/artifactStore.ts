/** The port of the blobs. Durable when it returns; concurrent; unordered; idempotent: a blob is named by its SHA-256. */
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
