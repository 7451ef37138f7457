/** What the stores on files share: folders that last, and faults that mean "not there". */
import { mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';

export const isAbsent = (error: unknown) => error instanceof Error && 'code' in error && error.code === 'ENOENT';

export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  await folder.sync().finally(() => folder.close());
}

/** Makes a folder and its parents, each with its name on disk. @returns whether anything was made */
export async function makeFolder(path: string): Promise<boolean> {
  const first = await mkdir(path, { recursive: true });
  if (first === undefined) return false;
  for (let made = path; ; made = dirname(made)) {
    await syncFolder(dirname(made));
    if (made === first) return true;
  }
}
