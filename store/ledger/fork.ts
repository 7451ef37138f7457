/** Whether the log is still the one whose checkpoints were published: a restore to an earlier moment is seen here. */
import { bytesToHex } from '../../domain/hash/sha256.ts';
import type { Checkpoint } from '../../domain/ledger/checkpoint.ts';
import type { Client } from '../connect.ts';
import { originsOf } from './origins.ts';
import type { PublishedCheckpoints } from './published.ts';
import { emptyTree, grow } from './tree.ts';

/** What was published, and what the log has instead. */
export interface Fork {
  readonly published: Checkpoint;
  /** Facts in the log. */
  readonly size: number;
  /** Root at the published size; null where the log is shorter. */
  readonly root: string | null;
}

/** The log is not the one whose checkpoints were published. Nothing is sequenced until an operator accepts the loss. */
export class LedgerFork extends Error {
  override readonly name = 'LedgerFork';
  readonly code = 'ledger_fork';
}

const placesOf = async (db: Client): Promise<number> =>
  (await db.query<{ n: number }>('SELECT coalesce(max(log_index) + 1, 0) AS n FROM store.log')).rows[0]!.n;

async function rowAt(db: Client, size: number): Promise<string | undefined> {
  const { rows } = await db.query<{ root: Buffer }>('SELECT root FROM store.checkpoints WHERE tree_size = $1', [size]);
  return rows[0]?.root.toString('hex');
}

/**
 * Compares the newest published checkpoint with the log. Its row in the database was committed before its file, so a database that has
 * an equal row was not restored to a moment before it: one read answers. Otherwise the root is made again from the stored leaves, which
 * takes some 3 s a million facts.
 */
export async function findFork(db: Client, published: PublishedCheckpoints): Promise<Fork | undefined> {
  const { origin } = (await originsOf(db)).at(-1)!;
  const newest = await published.newest(origin);
  if (!newest) return undefined;
  const size = await placesOf(db);
  if (size < newest.size) return { published: newest, size, root: null };
  if ((await rowAt(db, newest.size)) === newest.root) return undefined;
  const tree = emptyTree();
  await grow(db, tree, newest.size);
  const root = bytesToHex(tree.root());
  return root === newest.root ? undefined : { published: newest, size, root };
}

/** @throws LedgerFork saying what to do */
export async function refuseFork(db: Client, published: PublishedCheckpoints): Promise<void> {
  const fork = await findFork(db, published);
  if (!fork) return;
  const { size, root, published: was } = fork;
  throw new LedgerFork(
    `ledger_fork: a checkpoint of ${was.size} facts with root ${was.root} was published, and the log holds ${size}` +
      `${root === null ? '' : `, whose root at that size is ${root}`}: it was restored to an earlier moment, or changed. Appends go ` +
      'on, nothing is sequenced. Restore a later backup; or, if the facts after it are lost for good, run the ' +
      'server once with `--accept-loss`',
  );
}
