/** What an operator does once when published facts are lost for good: the log goes on under a new origin. */
import pg from 'pg';
import { bytesToHex } from '../../domain/hash/sha256.ts';
import { ownerConfig } from '../connect.ts';
import { findFork, type Fork } from './fork.ts';
import { originsOf } from './origins.ts';
import type { PublishedCheckpoints } from './published.ts';
import { emptyTree, grow } from './tree.ts';

export type LossAccepted =
  | { readonly outcome: 'no_fork'; readonly origin: string }
  /** `keptSize`: the greatest published size at which the log still has the published root. */
  | { readonly outcome: 'accepted'; readonly origin: string; readonly keptSize: number; readonly fork: Fork };

/** Read models that hold more than the log does: they are dropped, and made again by who runs them. */
const AHEAD = `SELECT n.nspname AS schema FROM pg_namespace n JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = 'checkpoint'
                WHERE n.nspname LIKE 'rm\\_%'`;

async function keptSizeOf(db: pg.Client, published: PublishedCheckpoints, origin: string): Promise<number> {
  const tree = emptyTree();
  let kept = 0;
  for (const { read } of await published.all(origin)) {
    if (!read.ok) continue;
    await grow(db, tree, read.checkpoint.size);
    if (tree.size !== read.checkpoint.size || bytesToHex(tree.root()) !== read.checkpoint.root) break;
    kept = read.checkpoint.size;
  }
  return kept;
}

/** @param size facts in the log: whoever stands at or beyond it has seen what is lost */
async function setFollowersBack(db: pg.Client, size: number): Promise<void> {
  await db.query('UPDATE store.followers SET log_index = least(log_index, $1::bigint - 1)', [size]);
  const { rows } = await db.query<{ schema: string }>(AHEAD);
  for (const { schema } of rows) {
    const name = pg.escapeIdentifier(schema);
    const at = (await db.query<{ log_index: number }>(`SELECT log_index FROM ${name}.checkpoint`)).rows[0]?.log_index;
    if (at !== undefined && at >= size) await db.query(`DROP SCHEMA ${name} CASCADE`);
  }
}

/**
 * One transaction, as the migrator. Published checkpoints stay as evidence under the old origin. What stood beyond the log's end is set
 * back, so that nobody skips an index that is given a second time; the stream of NATS is made anew by its relay, which sees that its last
 * message is of no fact here. Servers and workers hold pointers in memory: end them before a restore.
 */
export async function acceptLoss(migrateUrl: string, published: PublishedCheckpoints): Promise<LossAccepted> {
  const db = new pg.Client(ownerConfig(migrateUrl, 'accept-loss'));
  db.on('error', () => undefined); // the query under way fails too
  await db.connect();
  try {
    await db.query('BEGIN');
    await db.query('SELECT FROM store.sequencer FOR UPDATE'); // no batch is placed meanwhile
    const { origin, generation } = (await originsOf(db)).at(-1)!;
    const fork = await findFork(db, published);
    if (!fork) return { outcome: 'no_fork', origin };
    const keptSize = await keptSizeOf(db, published, origin);
    const next = `${origin.replace(/\/\d+$/, '')}/${generation + 1}`;
    await db.query(
      'INSERT INTO store.ledger (generation, origin, kept_size, lost_size, lost_root) VALUES ($1, $2, $3, $4, $5)',
      [generation + 1, next, keptSize, fork.published.size, Buffer.from(fork.published.root, 'hex')],
    );
    await setFollowersBack(db, fork.size);
    await db.query('COMMIT');
    return { outcome: 'accepted', origin: next, keptSize, fork };
  } finally {
    await db.end(); // without COMMIT: rolled back
  }
}
