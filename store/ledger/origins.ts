/** The names that this log has had. */
import type { Client, Pool } from '../connect.ts';

export interface Origin {
  /** From 1. */
  readonly generation: number;
  readonly origin: string;
  readonly begun_at: Date;
  /** Size up to which the log is that of the generation before; 0 for the first. */
  readonly kept_size: number;
  /** The published checkpoint of the generation before that the log no longer had; null for the first. */
  readonly lost_size: number | null;
}

/** By rising generation; the last is in force. */
export async function originsOf(db: Client | Pool): Promise<Origin[]> {
  const { rows } = await db.query<Origin>(
    'SELECT generation, origin, begun_at, kept_size, lost_size FROM store.ledger ORDER BY generation',
  );
  if (rows.length === 0) throw new Error('store.ledger has no row; run the migrations');
  return rows;
}
