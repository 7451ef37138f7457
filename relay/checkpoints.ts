/** Tree heads of the log, unsigned: `(tree_size, root)` every 10 s if the tree grew. Facts above the last one are pending. */
import { growingTree } from '../domain/hash/merkle.ts';
import type { Client, Session } from '../store/connect.ts';
import { lead, type Logger } from '../store/leader.ts';
import { pause } from '../store/pause.ts';
import { nodeSha256 } from '../store/log/leaf.ts';

const EVERY_MS = 10_000;
const PAGE = 10_000;

export interface CheckpointOptions {
  readonly connectionString: string;
  readonly signal: AbortSignal;
  readonly logger: Logger;
  readonly everyMs?: number;
}

type Tree = ReturnType<typeof growingTree>;

/** Adds the leaves from the tree's size on, at most up to `limit` leaves in all. */
async function grow(client: Client, tree: Tree, limit: number): Promise<void> {
  while (tree.size < limit) {
    const { rows } = await client.query<{ log_index: number; leaf_hash: Buffer }>(
      'SELECT log_index, leaf_hash FROM store.log WHERE log_index >= $1 AND log_index < $2 ORDER BY log_index LIMIT $3',
      [tree.size, limit, PAGE],
    );
    if (rows.length === 0) return;
    for (const row of rows) {
      if (row.log_index !== tree.size)
        throw new Error(`log index ${tree.size} is missing; run \`edgeml audit verify\``);
      tree.add(row.leaf_hash);
    }
  }
}

/** The tree up to the last checkpoint, made anew from the log. @throws Error if its root is not the one recorded */
async function resume(client: Client): Promise<Tree> {
  const { rows } = await client.query<{ tree_size: number; root: Buffer }>(
    'SELECT tree_size, root FROM store.checkpoints ORDER BY tree_size DESC LIMIT 1',
  );
  const tree = growingTree(nodeSha256);
  const last = rows[0];
  if (!last) return tree;
  await grow(client, tree, last.tree_size);
  if (tree.size === last.tree_size && last.root.equals(tree.root())) return tree;
  throw new Error(`the log no longer has the root of checkpoint ${last.tree_size}; run \`edgeml audit verify\``);
}

async function keep({ client }: Session, signal: AbortSignal, everyMs: number): Promise<void> {
  const tree = await resume(client);
  while (!signal.aborted) {
    const before = tree.size;
    await grow(client, tree, Number.MAX_SAFE_INTEGER);
    if (tree.size > before) {
      const values = [tree.size, Buffer.from(tree.root())];
      await client.query('INSERT INTO store.checkpoints (tree_size, root) VALUES ($1, $2)', values);
    }
    await pause(everyMs, signal);
  }
}

/**
 * Writes checkpoints until `signal` aborts; never throws. One process leads. It refuses to go on, loudly, where the log no
 * longer has the root it had at the last checkpoint.
 */
export function runCheckpoints({
  connectionString,
  signal,
  logger,
  everyMs = EVERY_MS,
}: CheckpointOptions): Promise<void> {
  return lead({ connectionString, name: 'checkpoints', signal, logger }, (session, until) =>
    keep(session, until, everyMs),
  );
}
