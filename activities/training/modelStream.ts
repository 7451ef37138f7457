/** A safetensors blob opened for streaming: its header is read, its data are next. */
import type { Sha256 } from '../../domain/brands.ts';
import { LifecycleError } from '../../domain/errors.ts';
import {
  headerLength,
  isRefusal,
  parseHeader,
  type Header,
  type Refusal,
} from '../../domain/formats/safetensors/index.ts';
import type { ArtifactStore } from '../../store/artifacts/artifactStore.ts';
import { readBytes, type ByteReader } from './byteReader.ts';

export interface OpenFile {
  readonly sha256: Sha256;
  readonly header: Header;
  /** Stands at the first byte of the data. The caller closes it. */
  readonly reader: ByteReader;
}

async function readHead(reader: ByteReader, fileBytes: number): Promise<Header | Refusal> {
  const prefix = new Uint8Array(8);
  const length = headerLength(prefix.subarray(0, await reader.read(prefix)));
  if (isRefusal(length)) return length;
  const header = new Uint8Array(length.headerBytes);
  return parseHeader(header.subarray(0, await reader.read(header)), fileBytes);
}

/** @throws LifecycleError `blob_unknown` */
export async function openFile(blobs: ArtifactStore, sha256: Sha256): Promise<OpenFile | Refusal> {
  const stat = await blobs.stat(sha256);
  if (!stat)
    throw new LifecycleError('blob_unknown', `no bytes with SHA-256 ${sha256} are stored; was it swept too early?`);
  const reader = readBytes(await blobs.get(sha256));
  try {
    const header = await readHead(reader, stat.bytes);
    if (isRefusal(header)) reader.close();
    return isRefusal(header) ? header : { sha256, header, reader };
  } catch (error) {
    reader.close();
    throw error;
  }
}
