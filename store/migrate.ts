/** Forward-only migrations: numbered SQL files, each applied once, each in a transaction of its own. */
import type { Sha256 } from '../domain/brands.ts';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import pg from 'pg';
import { ownerConfig, codeOf } from './connect.ts';
import type { Queryable } from './queryable.ts';

const OWNER = 'edgeml_owner';
const APP = 'edgeml_app';
const FOLDER = new URL('./sql/migrations/', import.meta.url);

export interface Migration {
  readonly name: string;
  readonly sql: string;
}

/** The migrations this build ships, in the order of their numbers. */
export function shippedMigrations(): Migration[] {
  return readdirSync(FOLDER)
    .filter((name) => /^\d{4}_[a-z0-9_]+\.sql$/.test(name))
    .sort()
    .map((name) => ({ name, sql: readFileSync(new URL(name, FOLDER), 'utf8') }));
}

/** Names of those that this build ships and the database lacks. @throws the driver's error, also where it was never migrated */
export async function missingMigrations(on: Queryable): Promise<string[]> {
  const { rows } = await on.query<{ name: string }>('SELECT name FROM store.migrations');
  const applied = new Set(rows.map((r) => r.name));
  return shippedMigrations().flatMap(({ name }) => (applied.has(name) ? [] : [name]));
}

/** Roles belong to the cluster: two databases migrated at once may meet here, and the second simply goes again. */
const MET_ANOTHER = new Set(['42710', '23505', 'XX000', '40001']);
async function untilAlone(run: () => Promise<unknown>): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await run();
      return;
    } catch (error) {
      if (attempt === 10 || !MET_ANOTHER.has(codeOf(error) ?? '')) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20 * attempt));
    }
  }
}

/** A migrator who may not give it has it already, or does without. */
async function grantIfAllowed(db: pg.Client, grant: string): Promise<void> {
  try {
    await db.query(grant);
  } catch (error) {
    if (codeOf(error) !== '42501') throw error;
  }
}

async function ensureRoles(db: pg.Client, password: string): Promise<void> {
  const found = await db.query<{ rolname: string }>('SELECT rolname FROM pg_roles WHERE rolname = ANY ($1)', [
    [OWNER, APP],
  ]);
  const has = (name: string) => found.rows.some((r) => r.rolname === name);
  if (!has(OWNER)) await db.query(`CREATE ROLE ${OWNER} NOLOGIN`);
  if (!has(APP)) await db.query(`CREATE ROLE ${APP} LOGIN`);
  if (password !== '') await db.query(`ALTER ROLE ${APP} PASSWORD ${pg.escapeLiteral(password)}`);
  // A long write transaction anywhere holds the whole log back (docs/design/event-log.md "What holds the log back"), so the app's
  // are cut short.
  await db.query(`ALTER ROLE ${APP} SET idle_in_transaction_session_timeout = '5s'`);
  await db.query(`ALTER ROLE ${APP} SET statement_timeout = '10s'`);
  await db.query(`ALTER ROLE ${APP} SET lock_timeout = '2s'`);
  // Who creates a role administers it, but from Postgres 16 on may not act as it without this. Superusers need no grant.
  const { rows } = await db.query<{ super: boolean }>(
    'SELECT rolsuper AS super FROM pg_roles WHERE rolname = current_user',
  );
  if (!rows[0]?.super) await grantIfAllowed(db, `GRANT ${OWNER} TO CURRENT_USER`);
  // Only for the alarm that names who holds the log back; without it the alarm is less exact.
  await grantIfAllowed(db, `GRANT pg_read_all_stats TO ${OWNER}`);
}

async function inTransaction(db: pg.Client, run: () => Promise<void>): Promise<void> {
  await db.query('BEGIN');
  try {
    await run();
    await db.query('COMMIT');
  } catch (error) {
    await db.query('ROLLBACK');
    throw error;
  }
}

async function prepareDatabase(db: pg.Client): Promise<void> {
  const name = pg.escapeIdentifier((await db.query<{ d: string }>('SELECT current_database() AS d')).rows[0]!.d);
  // CREATE for the app: read models (rm_*) are caches that it makes, swaps and drops itself.
  await db.query(`GRANT CONNECT, CREATE ON DATABASE ${name} TO ${OWNER}, ${APP}`);
  await db.query(`CREATE SCHEMA IF NOT EXISTS store AUTHORIZATION ${OWNER}`);
  await inTransaction(db, async () => {
    await db.query(`SET LOCAL ROLE ${OWNER}`);
    await db.query(`CREATE TABLE IF NOT EXISTS store.migrations (
      name text PRIMARY KEY, sha256 text NOT NULL, applied_at timestamptz(3) NOT NULL DEFAULT clock_timestamp())`);
  });
}

async function applyMissing(db: pg.Client, migrations: readonly Migration[]): Promise<void> {
  const rows = await db.query<{ name: string; sha256: Sha256 }>('SELECT name, sha256 FROM store.migrations');
  const applied = new Map(rows.rows.map((r) => [r.name, r.sha256]));
  const hashed = migrations.map((m) => ({ ...m, sha256: createHash('sha256').update(m.sql).digest('hex') }));
  for (const { name, sha256 } of hashed) {
    const before = applied.get(name);
    if (before === undefined || before === sha256) continue;
    throw new Error(
      `migration ${name} was applied with SHA-256 ${before}, this build ships ${sha256}: an applied migration never ` +
        'changes; restore the file and put the change into a new one',
    );
  }
  // An applied migration that we do not ship belongs to a newer build, which must still let this one work.
  for (const { name, sql, sha256 } of hashed.filter((m) => !applied.has(m.name))) {
    await inTransaction(db, async () => {
      await db.query(`SET LOCAL ROLE ${OWNER}`);
      await db.query(sql);
      await db.query('INSERT INTO store.migrations (name, sha256) VALUES ($1, $2)', [name, sha256]);
    }).catch((error: unknown) => {
      throw new Error(`migration ${name} failed: ${error instanceof Error ? error.message : String(error)}`, {
        cause: error,
      });
    });
  }
}

/**
 * Brings a database to this build's schema, and the cluster to its two roles. Idempotent; a session advisory lock lets one
 * migrator work at a time, the others wait. A crash between two files leaves the earlier applied; run it again.
 *
 * @param options.migrateUrl  connects as a role that may create roles and schemas (often the database's owner)
 * @param options.appUrl      the URL the product will use: user `edgeml_app`; its password is set on the role
 * @throws Error for another user in `appUrl`, for a changed file that is already applied, for SQL that fails (with its file)
 */
export async function migrate(
  options: { readonly migrateUrl: string; readonly appUrl: string },
  migrations: readonly Migration[] = shippedMigrations(),
): Promise<void> {
  const app = new URL(options.appUrl);
  if (decodeURIComponent(app.username) !== APP) {
    throw new Error(`the application's database URL must name user ${APP}, not "${app.username}"`);
  }
  const db = new pg.Client(ownerConfig(options.migrateUrl, 'migrate'));
  db.on('error', () => undefined); // the query under way fails too
  await db.connect();
  try {
    await untilAlone(() => ensureRoles(db, decodeURIComponent(app.password)));
    await db.query(`SELECT pg_advisory_lock(hashtext('edgeml'), hashtext('migrate'))`);
    await untilAlone(() => prepareDatabase(db));
    await applyMissing(db, migrations);
  } finally {
    await db.end(); // frees the lock
  }
}
