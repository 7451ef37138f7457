/** Pure. The strict safetensors reader: what it accepts is canonical but for the order of header keys. Faults are values. */
import { isRefusal, refuse, type Refusal } from '../../refusal.ts';
import { elementsOf, isDtype, sizeOf, type Dtype } from './dtype.ts';
import { parseHeaderText } from './headerText.ts';
import { LIMITS } from './limits.ts';
import { compareTensors } from './order.ts';
import type { Tensor } from './tensor.ts';
import type { TensorShape } from './write.ts';

export interface HeaderEntry extends TensorShape {
  /** Offsets into the data, which begin at `dataStart` of the file. */
  readonly begin: number;
  readonly end: number;
}

export interface Header {
  readonly metadata: ReadonlyMap<string, string>;
  /** In canonical order, which is also the order of the data. */
  readonly entries: readonly HeaderEntry[];
  readonly dataStart: number;
  readonly dataBytes: number;
}

export interface SafetensorsFile {
  readonly metadata: ReadonlyMap<string, string>;
  /** In canonical order; `data` are views of the file's bytes. */
  readonly tensors: readonly Tensor[];
}

const malformed = (detail: string, tensor?: string) =>
  refuse('malformed_container', detail, tensor === undefined ? undefined : { tensor });

/**
 * Bytes of the header that follow the first 8: what a streaming reader must have before {@link parseHeader}.
 *
 * @param prefix at least the first 8 bytes of the file
 */
export function headerLength(prefix: Uint8Array): { readonly headerBytes: number } | Refusal {
  if (prefix.length < 8) return malformed(`a safetensors file has at least 8 bytes, this one ${prefix.length}`);
  const bytes = new DataView(prefix.buffer, prefix.byteOffset, 8).getBigUint64(0, true);
  if (bytes > BigInt(LIMITS.headerBytes))
    return malformed(
      `the header may have ${LIMITS.headerBytes} bytes, the length prefix says ${bytes}; is it safetensors?`,
    );
  if (bytes === 0n || bytes % 8n !== 0n)
    return malformed(`the header must be padded with spaces to a multiple of 8 bytes, the length prefix says ${bytes}`);
  return { headerBytes: Number(bytes) };
}

function checkEntry(raw: { name: string; dtype: string; shape: readonly number[]; begin: number; end: number }) {
  const { name, dtype, shape, begin, end } = raw;
  if (!isDtype(dtype))
    return malformed(`tensor "${name}" has the unknown dtype ${JSON.stringify(dtype.slice(0, 40))}`, name);
  // Dimensions beside a 0 count too: other readers multiply before they meet it, and overflow.
  if (elementsOf(shape.filter((dim) => dim !== 0)) > LIMITS.parameters)
    return malformed(`tensor "${name}" [${shape.join(', ')}] has more than ${LIMITS.parameters} elements`, name);
  const elements = elementsOf(shape);
  const bytes = elements * sizeOf(dtype);
  if (end - begin !== bytes) {
    return malformed(
      `tensor "${name}" takes ${bytes} bytes, its data_offsets [${begin}, ${end}] hold ${end - begin}`,
      name,
    );
  }
  return { name, dtype, shape, begin, end } satisfies HeaderEntry;
}

/**
 * The header of a file whose length is known. Checks names, dtypes, shapes and that the data lie in canonical order without
 * gaps and fill the file exactly.
 *
 * @param header    the bytes after the 8 of the length prefix, as many as {@link headerLength} said
 * @param fileBytes length of the whole file
 */
export function parseHeader(header: Uint8Array, fileBytes: number): Header | Refusal {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(header);
  } catch {
    return malformed('the header is not UTF-8');
  }
  const raw = parseHeaderText(text, LIMITS);
  if ('problem' in raw) return malformed(raw.problem);
  if (raw.entries.length === 0) return malformed('the file holds no tensor');
  const entries: HeaderEntry[] = [];
  let parameters = 0;
  for (const one of raw.entries) {
    const entry = checkEntry(one);
    if (isRefusal(entry)) return entry;
    parameters += elementsOf(entry.shape);
    entries.push(entry);
  }
  if (parameters > LIMITS.parameters)
    return malformed(`${parameters} parameters, at most ${LIMITS.parameters} are allowed`);
  entries.sort(compareTensors);
  let at = 0;
  for (const { name, begin, end } of entries) {
    if (begin !== at) {
      const how = 'by dtype, then name in UTF-8 bytes, without gaps';
      return malformed(`data of "${name}" must begin at ${at} (${how}), its offset is ${begin}`, name);
    }
    at = end;
  }
  const dataStart = 8 + header.length;
  if (dataStart + at !== fileBytes)
    return malformed(`the header describes ${dataStart + at} bytes, the file has ${fileBytes}`);
  return { metadata: raw.metadata, entries, dataStart, dataBytes: at };
}

/** Header of a file in memory. Never throws. */
export function readHeader(bytes: Uint8Array): Header | Refusal {
  const length = headerLength(bytes);
  if (isRefusal(length)) return length;
  const end = 8 + length.headerBytes;
  if (bytes.length < end) return malformed(`the header ends at byte ${end}, the file has ${bytes.length}`);
  return parseHeader(bytes.subarray(8, end), bytes.length);
}

/** A whole file in memory; tensors are views, nothing is copied. Never throws. */
export function readSafetensors(bytes: Uint8Array): SafetensorsFile | Refusal {
  const header = readHeader(bytes);
  if (isRefusal(header)) return header;
  const { metadata, entries, dataStart } = header;
  const tensors = entries.map(({ name, dtype, shape, begin, end }) => {
    return { name, dtype, shape, data: bytes.subarray(dataStart + begin, dataStart + end) };
  });
  return { metadata, tensors };
}

/** A tensor of the file by name and dtype, or undefined. */
export function findTensor(file: SafetensorsFile, name: string, dtype?: Dtype): Tensor | undefined {
  return file.tensors.find((t) => t.name === name && (dtype === undefined || t.dtype === dtype));
}
