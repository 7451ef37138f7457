/** The newest checkpoint of the database; that of the empty log where there is none yet. */
import { bytesToHex } from '../../domain/hash/sha256.ts';
import type { Checkpoint } from '../../domain/ledger/checkpoint.ts';
import type { Pool } from '../connect.ts';
import { originsOf } from './origins.ts';
import { emptyTree } from './tree.ts';

/** At most 10 s behind the log, while a sequencer runs. */
export async function newestCheckpoint(db: Pool): Promise<Checkpoint> {
  const { origin } = (await originsOf(db)).at(-1)!;
  const { rows } = await db.query<{ tree_size: number; root: Buffer }>(
    'SELECT tree_size, root FROM store.checkpoints ORDER BY tree_size DESC LIMIT 1',
  );
  const last = rows[0];
  if (!last) return { origin, size: 0, root: bytesToHex(emptyTree().root()) };
  return { origin, size: last.tree_size, root: last.root.toString('hex') };
}
