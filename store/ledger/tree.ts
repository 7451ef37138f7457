/** The tree over the stored leaves, made page by page. */
import { growingTree } from '../../domain/hash/merkle.ts';
import type { Client, Pool } from '../connect.ts';
import { nodeSha256 } from '../log/leaf.ts';

const PAGE = 10_000;

export type Tree = ReturnType<typeof growingTree>;
export const emptyTree = (): Tree => growingTree(nodeSha256);

/** Adds the leaves from the tree's size on, at most up to `limit` leaves in all. @throws Error where an index is missing */
export async function grow(db: Client | Pool, tree: Tree, limit: number): Promise<void> {
  while (tree.size < limit) {
    const { rows } = await db.query<{ log_index: number; leaf_hash: Buffer }>(
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
