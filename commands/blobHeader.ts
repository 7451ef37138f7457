/** The header of a safetensors blob, read without its data. */
import type { Sha256 } from '../domain/brands.ts';
import { buffer } from 'node:stream/consumers';
import { LifecycleError } from '../domain/errors.ts';
import {
  headerLength,
  isRefusal,
  parseHeader,
  type Header,
  type Refusal,
} from '../domain/formats/safetensors/index.ts';
import type { ArtifactStore } from '../store/artifacts/artifactStore.ts';

const PREFIX = 8;

export interface BlobHeader {
  readonly bytes: number;
  readonly header: Header;
}

/**
 * @param what    how the caller's text calls the blob, such as `Base <sha>`
 * @param pointer member of the request that names it, where one does
 * @throws LifecycleError `blob_unknown`; `malformed_container` for bytes that are no safetensors file
 */
export async function blobHeader(
  blobs: ArtifactStore,
  sha256: Sha256,
  what: string,
  pointer?: string,
): Promise<BlobHeader> {
  const stat = await blobs.stat(sha256);
  if (!stat) throw faultOf({ code: 'blob_unknown', detail: 'is not stored; upload it first' }, what, pointer);
  const range = async (start: number, bytes: number): Promise<Uint8Array> => {
    const end = Math.min(start + bytes, stat.bytes) - 1;
    return end < start ? new Uint8Array(0) : new Uint8Array(await buffer(await blobs.get(sha256, { start, end })));
  };
  const length = headerLength(await range(0, PREFIX));
  if (isRefusal(length)) throw faultOf(length, what, pointer);
  const header = parseHeader(await range(PREFIX, length.headerBytes), stat.bytes);
  if (isRefusal(header)) throw faultOf(header, what, pointer);
  return { bytes: stat.bytes, header };
}

/** The refusal of a file that a request names: code and detail of its reader, with the member's pointer. */
export function faultOf({ code, detail }: Refusal, what: string, pointer?: string): LifecycleError {
  const errors = pointer === undefined ? {} : { errors: [{ pointer, detail: `${what}: ${detail}` }] };
  return new LifecycleError(code, `${what}: ${detail}`, errors);
}
