/** For tests: a folder of checkpoints, and a database set back to an earlier moment. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type pg from 'pg';
import { createNamedFiles } from '../../store/artifacts/namedStore.ts';
import { createPublished, type PublishedCheckpoints } from '../../store/ledger/published.ts';

export interface PublishedFixture {
  readonly root: string;
  readonly published: PublishedCheckpoints;
  close(): Promise<void>;
}

export async function openPublished(): Promise<PublishedFixture> {
  const root = await mkdtemp(join(tmpdir(), 'edgeml-published-'));
  return {
    root,
    published: createPublished(createNamedFiles(root)),
    close: () => rm(root, { recursive: true, force: true }),
  };
}

const TABLES = ['events', 'log', 'sequencer', 'checkpoints', 'ledger', 'followers'];

/** Copies the log's tables. @returns what puts them back as they were, as a restore of that backup does */
export async function backUp(admin: pg.Client): Promise<() => Promise<void>> {
  await admin.query('CREATE SCHEMA backup');
  for (const t of TABLES) await admin.query(`CREATE TABLE backup.${t} AS SELECT * FROM store.${t}`);
  return async () => {
    await admin.query('BEGIN');
    for (const t of ['events', 'log']) await admin.query(`ALTER TABLE store.${t} DISABLE TRIGGER append_only`);
    for (const t of TABLES) {
      await admin.query(`TRUNCATE store.${t}`);
      const { rows } = await admin.query<{ names: string }>(
        `SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) AS names FROM pg_attribute
          WHERE attrelid = 'store.${t}'::regclass AND attnum > 0 AND NOT attisdropped`,
      );
      const { names } = rows[0]!;
      await admin.query(`INSERT INTO store.${t} (${names}) OVERRIDING SYSTEM VALUE SELECT ${names} FROM backup.${t}`);
    }
    for (const t of ['events', 'log']) await admin.query(`ALTER TABLE store.${t} ENABLE ALWAYS TRIGGER append_only`);
    await admin.query('COMMIT');
  };
}
