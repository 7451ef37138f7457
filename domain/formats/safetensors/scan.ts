/** Pure. A safetensors file read as it comes, its bytes cut anywhere: the header once it is whole, then the data, never held. */
import { isRefusal, refuse, type Refusal } from '../../refusal.ts';
import { headerLength, parseHeader, type Header, type HeaderEntry } from './read.ts';

/** Who is shown the file. A refusal ends the scan. */
export interface Visitor {
  header(header: Header): Refusal | undefined;
  /** The next bytes of a tensor, in canonical order; `isLast` with its last ones. Empty tensors have none. */
  data(tensor: HeaderEntry, bytes: Uint8Array, isLast: boolean): Refusal | undefined;
}

/** Never throws. After a refusal nothing more may be asked. */
export interface Scan {
  /** The next bytes of the file. */
  take(chunk: Uint8Array): Refusal | undefined;
  /** No more bytes come: refuses a file that ended within its header. */
  end(): Refusal | undefined;
}

const PREFIX = 8;
const malformed = (detail: string) => refuse('malformed_container', detail);

/**
 * @param fileBytes   length of the whole file; whoever sends the bytes keeps to it
 * @param headerBytes the longest header to hold: a prefix that says more is refused before it comes
 */
export function scanSafetensors(fileBytes: number, headerBytes: number, visitor: Visitor): Scan {
  /** Prefix and header as far as they have come; empty once they are read. */
  let head = new Uint8Array(PREFIX);
  let filled = 0;
  let tensors: readonly HeaderEntry[] | undefined;
  /** Offset into the data, and the tensor it lies in. */
  let at = 0;
  let current = 0;

  /** Fills `head`. @returns how many of the bytes it took */
  const fill = (chunk: Uint8Array): number => {
    const n = Math.min(chunk.length, head.length - filled);
    head.set(chunk.subarray(0, n), filled);
    filled += n;
    return n;
  };

  const readPrefix = (): Refusal | undefined => {
    const length = headerLength(head);
    if (isRefusal(length)) return length;
    const whole = PREFIX + length.headerBytes;
    if (whole > fileBytes) return malformed(`the header ends at byte ${whole}, the file has ${fileBytes}`);
    if (length.headerBytes > headerBytes)
      return malformed(`the header may have ${headerBytes} bytes here, the length prefix says ${length.headerBytes}`);
    const prefix = head;
    head = new Uint8Array(whole);
    head.set(prefix);
    return undefined;
  };

  const readHeader = (): Refusal | undefined => {
    const header = parseHeader(head.subarray(PREFIX), fileBytes);
    if (isRefusal(header)) return header;
    head = new Uint8Array(0);
    tensors = header.entries.filter(({ begin, end }) => end > begin);
    return visitor.header(header);
  };

  const readData = (chunk: Uint8Array): Refusal | undefined => {
    for (let from = 0; from < chunk.length;) {
      const tensor = tensors?.[current];
      if (!tensor) return malformed(`more bytes come than the ${fileBytes} announced`);
      const n = Math.min(chunk.length - from, tensor.end - at);
      const isLast = at + n === tensor.end;
      const refused = visitor.data(tensor, chunk.subarray(from, from + n), isLast);
      if (refused) return refused;
      from += n;
      at += n;
      if (isLast) current += 1;
    }
    return undefined;
  };

  return {
    take(chunk) {
      let rest = chunk;
      while (!tensors) {
        rest = rest.subarray(fill(rest));
        if (filled < head.length) return undefined;
        const refused = head.length === PREFIX ? readPrefix() : readHeader();
        if (refused) return refused;
      }
      return readData(rest);
    },
    end() {
      if (tensors) return undefined;
      if (filled < PREFIX) return malformed(`a safetensors file has at least 8 bytes, this one ${filled}`);
      return malformed(`the header ends at byte ${head.length}, the file has ${filled}`);
    },
  };
}
