/** Where a child writes. A file, not a pipe: the child must not end or block when its launcher is killed. */
import { mkdirSync, openSync, readSync, renameSync, statSync, closeSync } from 'node:fs';
import { dirname } from 'node:path';

const ROTATE_AT_BYTES = 10 * 1024 * 1024;

function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

/** A descriptor to append with; the caller closes it. A file past 10 MiB becomes `<file>.1` first, over the one before. */
export function openLog(file: string): { fd: number; from: number } {
  mkdirSync(dirname(file), { recursive: true });
  if (sizeOf(file) > ROTATE_AT_BYTES) renameSync(file, `${file}.1`);
  const from = sizeOf(file);
  return { fd: openSync(file, 'a', 0o600), from };
}

/** The end of a log, from byte `from` on and at most 4 KiB of it. */
export function logTail(file: string, from = 0): string {
  const size = sizeOf(file);
  const start = Math.max(Math.min(from, size), size - 4096);
  const buffer = Buffer.alloc(size - start);
  if (buffer.length === 0) return '';
  const fd = openSync(file, 'r');
  try {
    return buffer.subarray(0, readSync(fd, buffer, 0, buffer.length, start)).toString('utf8');
  } finally {
    closeSync(fd);
  }
}
