/** A stream read in pieces of the caller's size, hashed as it passes. One reader at a time; it owns the stream. */
import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';

export interface ByteReader {
  /** Fills `into` as far as the stream goes; fewer bytes mean its end. */
  read(into: Uint8Array): Promise<number>;
  /** Hex SHA-256 of all bytes, also of those not read yet: reads to the end. */
  digest(): Promise<string>;
  /** Ends the stream early. Harmless after the end. */
  close(): void;
}

export function readBytes(stream: Readable): ByteReader {
  const chunks: AsyncIterator<Uint8Array> = stream[Symbol.asyncIterator]();
  const hash = createHash('sha256');
  let chunk: Uint8Array = new Uint8Array(0);
  let at = 0;
  /** The next chunk, or false at the end. */
  const advance = async () => {
    const next = await chunks.next();
    if (next.done) return false;
    chunk = next.value;
    at = 0;
    hash.update(chunk);
    return true;
  };
  return {
    async read(into) {
      let filled = 0;
      while (filled < into.length) {
        if (at === chunk.length && !(await advance())) break;
        const n = Math.min(into.length - filled, chunk.length - at);
        into.set(chunk.subarray(at, at + n), filled);
        at += n;
        filled += n;
      }
      return filled;
    },
    async digest() {
      while (await advance()) at = chunk.length;
      return hash.digest('hex');
    },
    close: () => void stream.destroy(),
  };
}
