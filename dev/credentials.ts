/** What the launcher makes once per home: the first admin's key, and the secret that links are signed with. */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { newSecret } from '../store/keys/keyFormat.ts';

/** Whole or not there at all, and readable by us alone. An existing file is kept. */
function keep(file: string, make: () => string | Uint8Array): string {
  if (existsSync(file)) return file;
  writeFileSync(`${file}.new`, make(), { mode: 0o600 });
  renameSync(`${file}.new`, file);
  return file;
}

/** `admin.key` holds an `ek_test_` key, good on loopback only; `secret` holds 32 random bytes. Both 0600. */
export function ensureCredentials(home: string): { keyFile: string; secretFile: string } {
  mkdirSync(home, { recursive: true });
  return {
    keyFile: keep(join(home, 'admin.key'), () => `${newSecret('test')}\n`),
    secretFile: keep(join(home, 'secret'), () => randomBytes(32)),
  };
}
