/**
 * Tree heads of the log, unsigned, every 10 s if the tree grew: a row `(tree_size, root)`, then a file beside the blobs. Facts above the
 * last one are pending.
 *
 *   commit the row                         a crash here: the next leader publishes the file that is due
 *   publish the file, if there is none     an unknown result: the same; an equal file is as good, another one is a fork
 */
import { bytesToHex } from '../domain/hash/sha256.ts';
import type { Client, Session } from '../store/connect.ts';
import { lead, type Logger } from '../store/leader.ts';
import { refuseFork } from '../store/ledger/fork.ts';
import { originsOf } from '../store/ledger/origins.ts';
import type { PublishedCheckpoints } from '../store/ledger/published.ts';
import { emptyTree, grow, type Tree } from '../store/ledger/tree.ts';
import { pause } from '../store/pause.ts';

const EVERY_MS = 10_000;

export interface CheckpointOptions {
  readonly connectionString: string;
  readonly signal: AbortSignal;
  readonly logger: Logger;
  /** Where each is kept outside the database. */
  readonly published: PublishedCheckpoints;
  readonly everyMs?: number;
}

interface Row {
  readonly tree_size: number;
  readonly root: Buffer;
}

/** The tree up to the last checkpoint, made anew from the log. @throws Error if its root is not the one recorded */
async function resume(client: Client): Promise<Tree> {
  const { rows } = await client.query<Row>(
    'SELECT tree_size, root FROM store.checkpoints ORDER BY tree_size DESC LIMIT 1',
  );
  const tree = emptyTree();
  const last = rows[0];
  if (!last) return tree;
  await grow(client, tree, last.tree_size);
  if (tree.size === last.tree_size && last.root.equals(tree.root())) return tree;
  throw new Error(`the log no longer has the root of checkpoint ${last.tree_size}; run \`edgeml audit verify\``);
}

/** Files that are due: those of rows above the newest file; of the newest row alone where there is no file at all. */
async function publishDue(client: Client, published: PublishedCheckpoints, origin: string): Promise<void> {
  const newest = await published.newest(origin);
  const { rows } = newest
    ? await client.query<Row>(
        'SELECT tree_size, root FROM store.checkpoints WHERE is_filed AND tree_size > $1 ORDER BY tree_size',
        [newest.size],
      )
    : await client.query<Row>('SELECT tree_size, root FROM store.checkpoints ORDER BY tree_size DESC LIMIT 1');
  for (const { tree_size, root } of rows) {
    await published.publish({ origin, size: tree_size, root: root.toString('hex') });
  }
}

async function keep({ client }: Session, signal: AbortSignal, options: CheckpointOptions): Promise<void> {
  const { published, everyMs = EVERY_MS } = options;
  await refuseFork(client, published);
  const tree = await resume(client);
  const { origin } = (await originsOf(client)).at(-1)!;
  await publishDue(client, published, origin);
  while (!signal.aborted) {
    const before = tree.size;
    await grow(client, tree, Number.MAX_SAFE_INTEGER);
    if (tree.size > before) {
      const root = tree.root();
      await client.query('INSERT INTO store.checkpoints (tree_size, root, is_filed) VALUES ($1, $2, true)', [
        tree.size,
        Buffer.from(root),
      ]);
      await published.publish({ origin, size: tree.size, root: bytesToHex(root) });
    }
    await pause(everyMs, signal);
  }
}

/**
 * Writes checkpoints until `signal` aborts; never throws. One process leads. It refuses to go on, loudly, where the log no
 * longer has the root it had at the last checkpoint, in the database or outside it.
 */
export function runCheckpoints(options: CheckpointOptions): Promise<void> {
  const { connectionString, signal, logger } = options;
  return lead({ connectionString, name: 'checkpoints', signal, logger }, (session, until) =>
    keep(session, until, options),
  );
}
