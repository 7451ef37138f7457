/** `npx tsx dev/composeSecrets.ts`: an admin's key and a secret for docker-compose.yml. What is there already is kept. */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { newSecret } from '../store/keys/keyFormat.ts';
import { CHECKOUT } from './reach.ts';

const folder = join(CHECKOUT, '.edgeml', 'compose');
// The folder is ours alone; the files are readable, since Docker mounts them one by one for a user of the container.
mkdirSync(folder, { recursive: true, mode: 0o700 });
const files: readonly (readonly [string, () => string | Uint8Array])[] = [
  ['admin.key', () => `${newSecret('live')}\n`],
  ['secret', () => randomBytes(32)],
];
for (const [name, make] of files) {
  const file = join(folder, name);
  if (!existsSync(file)) writeFileSync(file, make(), { mode: 0o444 });
  process.stdout.write(`${file}\n`);
}
process.stdout.write('Next: docker compose up -d\n');
