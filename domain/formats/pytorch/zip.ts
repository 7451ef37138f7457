/** Pure. ZIP archives whose entries are stored, as torch writes them. @source PKWARE APPNOTE 6.3 */
import { utf8ToBytes } from '../../hash/sha256.ts';
import { crc32 } from './crc32.ts';
import { Unreadable } from './unreadable.ts';

const EOCD = 0x06054b50;
const EOCD64 = 0x06064b50;
const LOCATOR64 = 0x07064b50;
const CENTRAL = 0x02014b50;
const LOCAL = 0x04034b50;
const MOST_COMMENT = 65_535;
const MOST_ENTRIES = 40_000;
const MAX32 = 0xffffffff;

const bad = (detail: string) => new Unreadable('malformed_container', `the ZIP archive ${detail}`);
const names = new TextDecoder('utf-8', { fatal: true });

/**
 * The entries by name, as views of `file`. Sizes come from the central directory: torch leaves those of local headers empty.
 *
 * @throws Unreadable for what is no such archive, a compressed or encrypted entry, a name given twice, and bytes that do not fit
 * their checksum
 */
export function readZip(file: Uint8Array): ReadonlyMap<string, Uint8Array> {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const { count, start } = directoryOf(view);
  if (count > MOST_ENTRIES) throw bad(`has ${count} entries; at most ${MOST_ENTRIES} are read`);
  const entries = new Map<string, Uint8Array>();
  let at = start;
  for (let i = 0; i < count; i += 1) {
    if (at + 46 > file.length || view.getUint32(at, true) !== CENTRAL) throw bad('has a broken directory');
    const nameLength = view.getUint16(at + 28, true);
    const extraLength = view.getUint16(at + 30, true);
    const next = at + 46 + nameLength + extraLength + view.getUint16(at + 32, true);
    if (next > file.length) throw bad('has a broken directory');
    const name = nameOf(file.subarray(at + 46, at + 46 + nameLength));
    if (entries.has(name)) throw bad(`has ${name} twice`);
    entries.set(name, entryAt(file, view, at, name, { from: at + 46 + nameLength, length: extraLength }));
    at = next;
  }
  return entries;
}

function nameOf(bytes: Uint8Array): string {
  try {
    return names.decode(bytes);
  } catch {
    throw bad('has a name that is not UTF-8');
  }
}

function directoryOf(view: DataView): { count: number; start: number } {
  const size = view.byteLength;
  for (let at = size - 22; at >= Math.max(0, size - 22 - MOST_COMMENT); at -= 1) {
    if (view.getUint32(at, true) !== EOCD) continue;
    const count = view.getUint16(at + 10, true);
    const start = view.getUint32(at + 16, true);
    // A ZIP64 archive says its numbers before the record that is too small for them.
    if (at < 20 || view.getUint32(at - 20, true) !== LOCATOR64) return { count, start };
    const at64 = Number(view.getBigUint64(at - 12, true));
    if (at64 + 56 > size || view.getUint32(at64, true) !== EOCD64) throw bad('has a broken ZIP64 record');
    return { count: Number(view.getBigUint64(at64 + 32, true)), start: Number(view.getBigUint64(at64 + 48, true)) };
  }
  throw bad('has no directory: it is cut short, or is none');
}

function entryAt(
  file: Uint8Array,
  view: DataView,
  at: number,
  name: string,
  extra: { readonly from: number; readonly length: number },
): Uint8Array {
  if (view.getUint16(at + 8, true) & 1) throw bad(`has the encrypted entry ${name}`);
  if (view.getUint16(at + 10, true) !== 0) throw bad(`has the compressed entry ${name}; torch stores its entries`);
  const packed = view.getUint32(at + 20, true);
  const unpacked = view.getUint32(at + 24, true);
  const offset = view.getUint32(at + 42, true);
  const wide = [unpacked, packed, offset].map((value) => value === MAX32);
  const [size64, packed64, offset64] = wide.includes(true) ? widened(view, extra, wide) : [];
  const size = size64 ?? unpacked;
  const local = offset64 ?? offset;
  if ((packed64 ?? packed) !== size) throw bad(`gives ${name} two sizes`);
  if (local + 30 > file.length || view.getUint32(local, true) !== LOCAL) throw bad(`does not hold ${name}`);
  const from = local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
  if (from + size > file.length) throw bad(`ends within ${name}`);
  const bytes = file.subarray(from, from + size);
  if (crc32(bytes) !== view.getUint32(at + 16, true)) throw bad(`is damaged: ${name} does not fit its checksum`);
  return bytes;
}

/** Values that do not fit 32 bits, from the extra field 1, in the order of the record. */
function widened(
  view: DataView,
  { from, length }: { readonly from: number; readonly length: number },
  wide: readonly boolean[],
): (number | undefined)[] {
  for (let at = from; at + 4 <= from + length;) {
    const size = view.getUint16(at + 2, true);
    if (view.getUint16(at, true) === 1 && at + 4 + size <= from + length) {
      let value = at + 4;
      return wide.map((isWide) => {
        if (!isWide) return undefined;
        if (value + 8 > at + 4 + size) throw bad('has a broken ZIP64 field');
        value += 8;
        return Number(view.getBigUint64(value - 8, true));
      });
    }
    at += 4 + size;
  }
  throw bad('has no ZIP64 field where one is needed');
}

const DOS_EPOCH = 0x0021; // 1 January 1980: equal entries give equal bytes

/** An archive of stored entries, in the order given. @throws RangeError past 4 GiB, which needs ZIP64 */
export function writeZip(entries: readonly (readonly [name: string, bytes: Uint8Array])[]): Uint8Array {
  const parts = entries.map(([name, bytes]) => ({ name: utf8ToBytes(name), bytes, crc: crc32(bytes) }));
  const headers = parts.reduce((n, { name }) => n + 76 + 2 * name.length, 22);
  const size = parts.reduce((n, { bytes }) => n + bytes.length, headers);
  if (size > MAX32) throw new RangeError(`an archive of ${size} bytes needs ZIP64`);
  const file = new Uint8Array(size);
  const view = new DataView(file.buffer);
  let at = 0;
  const places = parts.map(({ name, bytes, crc }) => {
    const place = at;
    view.setUint32(at, LOCAL, true);
    view.setUint16(at + 4, 20, true);
    view.setUint16(at + 12, DOS_EPOCH, true);
    sizes(view, at + 14, crc, bytes.length);
    view.setUint16(at + 26, name.length, true);
    file.set(name, at + 30);
    file.set(bytes, at + 30 + name.length);
    at += 30 + name.length + bytes.length;
    return place;
  });
  const start = at;
  parts.forEach(({ name, bytes, crc }, i) => {
    view.setUint32(at, CENTRAL, true);
    view.setUint16(at + 4, 20, true);
    view.setUint16(at + 6, 20, true);
    view.setUint16(at + 14, DOS_EPOCH, true);
    sizes(view, at + 16, crc, bytes.length);
    view.setUint16(at + 28, name.length, true);
    view.setUint32(at + 42, places[i]!, true);
    file.set(name, at + 46);
    at += 46 + name.length;
  });
  view.setUint32(at, EOCD, true);
  view.setUint16(at + 8, parts.length, true);
  view.setUint16(at + 10, parts.length, true);
  view.setUint32(at + 12, at - start, true);
  view.setUint32(at + 16, start, true);
  return file;
}

function sizes(view: DataView, at: number, crc: number, length: number): void {
  view.setUint32(at, crc, true);
  view.setUint32(at + 4, length, true);
  view.setUint32(at + 8, length, true);
}
