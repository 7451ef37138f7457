/** The checkpoints beside the blobs, and what they say of the rows in the database. */
import type { Origin } from '../store/ledger/origins.ts';
import type { PublishedCheckpoints } from '../store/ledger/published.ts';
import type { AnchorCheck, KeptCheckpoint } from './checks/anchor.ts';
import type { RecordedRoot } from './checks/ledger.ts';

/** Facts that were published and are gone, accepted by an operator. */
export interface Loss {
  /** The log as it went on. */
  readonly origin: string;
  /** RFC 3339. */
  readonly accepted_at: string;
  /** Up to here the log is what was published. */
  readonly kept_size: number;
  readonly published_size: number | null;
}

export interface Kept {
  readonly checkpoints: readonly KeptCheckpoint[];
  readonly losses: readonly Loss[];
  /** Rows without their file, files without their row, and files that cannot be read. */
  compareRows(anchor: AnchorCheck, rows: readonly RecordedRoot[]): void;
}

/** Those beyond an accepted loss are evidence of what is lost; they bind the log no longer. */
export async function readKept(published: PublishedCheckpoints | undefined, origins: readonly Origin[]): Promise<Kept> {
  const losses = origins.slice(1).map(({ origin, begun_at, kept_size, lost_size }) => ({
    origin,
    accepted_at: begun_at.toISOString(),
    kept_size,
    published_size: lost_size,
  }));
  const checkpoints: KeptCheckpoint[] = [];
  const broken: string[] = [];
  for (const [i, { origin }] of published ? origins.entries() : []) {
    const binding = origins.slice(i + 1).reduce((least, later) => Math.min(least, later.kept_size), Infinity);
    for (const { name, read } of await published!.all(origin)) {
      if (!read.ok) broken.push(`${name}: ${read.why}`);
      else if (read.checkpoint.size <= binding) checkpoints.push({ ...read.checkpoint, from: name });
    }
  }
  return {
    checkpoints,
    losses,
    compareRows(anchor, rows) {
      if (!published) return;
      for (const one of broken) anchor.add('file_unreadable', one);
      const sizes = new Set(checkpoints.map((c) => c.size));
      const recorded = new Set(rows.map((r) => r.tree_size));
      for (const { size, from } of checkpoints) {
        if (!recorded.has(size))
          anchor.add('row_missing', `${from} was published, and the database has no checkpoint of size ${size}`, {
            index: size - 1,
          });
      }
      for (const { tree_size, is_file_due } of rows) {
        if (is_file_due && !sizes.has(tree_size))
          anchor.add('file_missing', `the checkpoint of size ${tree_size} has no file beside the blobs`, {
            index: tree_size - 1,
          });
      }
    },
  };
}
