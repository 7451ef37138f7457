/** The port of the blobs, and of small objects with names. Durable when it returns; concurrent; a blob is named by its SHA-256. */
import type { Sha256 } from '../../domain/brands.ts';
import type { Readable } from 'node:stream';

export interface BlobStat {
  readonly sha256: Sha256;
  readonly bytes: number;
}

/** Bytes in one piece, or as they come. */
export type ByteSource = Uint8Array | AsyncIterable<Uint8Array | string>;

/** Bytes that are written and hashed, and no blob yet. Whoever has one discards it in the end. */
export interface Spooled extends BlobStat {
  /** Of a local file with the bytes, until they are kept or discarded. A file beside it, named `<path>.<more>`, is swept with it. */
  readonly path: string;
  /** Makes them the blob of their SHA-256: durable when it returns. */
  keep(): Promise<BlobStat>;
  /** Removes what was not kept. After `keep`, and a second time, it does nothing. */
  discard(): Promise<void>;
}

export interface ArtifactStore {
  /**
   * Writes the bytes aside while hashing, never holding them; a source that throws leaves nothing behind. A crash leaves a file that {@link sweep} removes.
   *
   * @throws LifecycleError `payload_too_large` past `max`; what the source throws
   */
  spool(source: ByteSource, options: { readonly max: number }): Promise<Spooled>;
  /**
   * Spools and keeps.
   *
   * @throws LifecycleError `payload_too_large` past `max`; `checksum_mismatch` if `sha256` is given and differs
   */
  put(source: ByteSource, options: { readonly max: number; readonly sha256?: Sha256 }): Promise<BlobStat>;
  /** Removes what crashed processes left half written; what a living one writes stays. For the start of a process. */
  sweep(): Promise<void>;
  /** A stream of the bytes, or of `[start, end]` (both inclusive). @throws LifecycleError `blob_unknown` */
  get(sha256: Sha256, range?: { readonly start: number; readonly end: number }): Promise<Readable>;
  /** All bytes at once. @throws LifecycleError `blob_unknown`; `checksum_mismatch` if the bytes on disk no longer fit */
  bytes(sha256: Sha256): Promise<Uint8Array>;
  stat(sha256: Sha256): Promise<BlobStat | undefined>;
  remove(sha256: Sha256): Promise<void>;
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
