/** API keys. Durable when it returns; concurrent; `ensureBootstrap` and `revoke` are idempotent. Secrets are never stored. */
import { Kysely, PostgresDialect, sql } from 'kysely';
import { LifecycleError } from '../../domain/errors.ts';
import { asOrgId, type OrgId } from '../../domain/org.ts';
import { isBusy, type Pool } from '../connect.ts';
import type { Channel } from '../listen.ts';
import { keyHash, newSecret, randomDigits, type KeyKind } from './keyFormat.ts';

export interface ApiKey {
  readonly id: string;
  readonly name: string;
  readonly orgId: OrgId;
  readonly roles: readonly string[];
  readonly last4: string;
  readonly createdAt: Date;
  readonly createdBy: string;
  readonly revokedAt: Date | null;
  readonly lastUsedAt: Date | null;
}

export interface NewKey {
  readonly name: string;
  readonly orgId: OrgId;
  readonly roles: readonly string[];
  /** Key id of who asked, or the part of this product that made it. */
  readonly createdBy: string;
  readonly kind: KeyKind;
}

/** Where a key stands in the list of its organisation. */
export type KeyCursor = Pick<ApiKey, 'createdAt' | 'id'>;

export interface KeyStore {
  /** The only time the secret is known. */
  createKey(key: NewKey): Promise<{ readonly key: ApiKey; readonly secret: string }>;
  /** The key of a secret; undefined if it is unknown or revoked. Notes its use, at most once a minute. */
  findBySecret(secret: string): Promise<ApiKey | undefined>;
  /** At most `limit` keys of an organisation, revoked ones included, oldest first, after the key `after`. */
  list(orgId: OrgId, page: { readonly limit: number; readonly after?: KeyCursor }): Promise<ApiKey[]>;
  /** Revokes for good; the first time counts. @throws LifecycleError `key_not_found` */
  revoke(orgId: OrgId, id: string): Promise<ApiKey>;
  /**
   * Makes `secret` the admin of an organisation and the operator of the instance, unless it is known, even as revoked.
   *
   * @throws LifecycleError `invalid_input` below 32 characters
   */
  ensureBootstrap(secret: string, orgId: OrgId): Promise<ApiKey>;
}

interface KeyTable {
  sha256: Buffer;
  id: string;
  name: string;
  org_id: string;
  roles: string[];
  last4: string;
  created_at: Date;
  created_by: string;
  revoked_at: Date | null;
  last_used_at: Date | null;
}
type KeyRow = Omit<KeyTable, 'sha256'>;
const COLUMNS = [
  'id',
  'name',
  'org_id',
  'roles',
  'last4',
  'created_at',
  'created_by',
  'revoked_at',
  'last_used_at',
] as const;
const LEAST_LENGTH = 32;
export const NOTE_USE_MS = 60_000;
/** Notified with the id of a key that was revoked. */
export const KEY_REVOKED: Channel = 'edgeml_key_revoked';

const keyOf = (row: KeyRow): ApiKey => ({
  id: row.id,
  name: row.name,
  orgId: asOrgId(row.org_id),
  roles: row.roles,
  last4: row.last4,
  createdAt: row.created_at,
  createdBy: row.created_by,
  revokedAt: row.revoked_at,
  lastUsedAt: row.last_used_at,
});

/** Keys in `ops.api_keys`, over a pool that the caller ends. */
export function createKeyStore(pool: Pool): KeyStore {
  const db = new Kysely<{ 'ops.api_keys': KeyTable }>({ dialect: new PostgresDialect({ pool }) });
  const keys = () => db.selectFrom('ops.api_keys').select(COLUMNS);

  /** Inserts unless the hash is known; then the row that is there. */
  async function keep(secret: string, key: Omit<NewKey, 'kind'>): Promise<ApiKey> {
    const row = {
      sha256: keyHash(secret),
      id: `key_${randomDigits(16)}`,
      name: key.name,
      org_id: key.orgId,
      roles: [...key.roles],
      last4: secret.slice(-4),
      created_at: sql<Date>`clock_timestamp()`,
      created_by: key.createdBy,
    };
    await db
      .insertInto('ops.api_keys')
      .values({ ...row, revoked_at: null, last_used_at: null })
      .onConflict((c) => c.column('sha256').doNothing())
      .execute();
    return keyOf(await keys().where('sha256', '=', row.sha256).executeTakeFirstOrThrow());
  }

  return {
    async createKey({ kind, ...key }) {
      const secret = newSecret(kind);
      return { key: await keep(secret, key), secret };
    },

    async findBySecret(secret) {
      const hash = keyHash(secret);
      const row = await keys().where('sha256', '=', hash).where('revoked_at', 'is', null).executeTakeFirst();
      if (!row) return undefined;
      // By our own clock, so that most requests write nothing; the minute need not be exact.
      if (Date.now() - (row.last_used_at?.getTime() ?? 0) > NOTE_USE_MS) {
        const set = { last_used_at: sql<Date>`clock_timestamp()` };
        const note = db.updateTable('ops.api_keys').set(set).where('sha256', '=', hash).execute();
        // A note that another holds up costs nobody the request; the next one notes it.
        await note.catch((error: unknown) => {
          if (!isBusy(error)) throw error;
        });
      }
      return keyOf(row);
    },

    async list(orgId, { limit, after }) {
      let query = keys().where('org_id', '=', orgId);
      if (after) {
        query = query.where((eb) => eb(eb.refTuple('created_at', 'id'), '>', eb.tuple(after.createdAt, after.id)));
      }
      return (await query.orderBy('created_at').orderBy('id').limit(limit).execute()).map(keyOf);
    },

    async revoke(orgId, id) {
      const row = await db
        .updateTable('ops.api_keys')
        .set({ revoked_at: sql`coalesce(revoked_at, clock_timestamp())` })
        .where('org_id', '=', orgId)
        .where('id', '=', id)
        .returning(COLUMNS)
        .executeTakeFirst();
      if (!row) throw new LifecycleError('key_not_found', `no key ${id} in this organisation; list the keys`);
      // Who misses it looks by himself.
      await sql`SELECT pg_notify(${KEY_REVOKED}, ${id})`.execute(db).catch(() => undefined);
      return keyOf(row);
    },

    ensureBootstrap(secret, orgId) {
      if (secret.length < LEAST_LENGTH || /\s/.test(secret)) {
        const detail = `the bootstrap key must have at least ${LEAST_LENGTH} characters and no white space`;
        return Promise.reject(new LifecycleError('invalid_input', detail));
      }
      return keep(secret, { name: 'bootstrap', orgId, roles: ['admin', 'instance'], createdBy: 'system' });
    },
  };
}
