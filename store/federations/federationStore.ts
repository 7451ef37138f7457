/**
 * Federations by name: existing SDKs ask for one before they train. Durable when it returns; concurrent; `ensure` is idempotent. Rows,
 * never facts: nothing is decided by one.
 */
import { federationIdOf } from '../../domain/hash/uuid.ts';
import { UUID } from '../../domain/names.ts';
import { asOrgId, type OrgId } from '../../domain/org.ts';
import type { Queryable } from '../queryable.ts';

export interface Federation {
  readonly id: string;
  readonly orgId: OrgId;
  readonly name: string;
  readonly description: string;
  readonly createdAt: Date;
}

export interface NewFederation {
  readonly orgId: OrgId;
  /** As `labelFrom` spells it. */
  readonly name: string;
  readonly description: string;
  /** Key id. */
  readonly createdBy: string;
}

export interface FederationStore {
  /** Makes it, or answers the one that has this name in any spelling, as it is. */
  ensure(wanted: NewFederation): Promise<{ readonly federation: Federation; readonly isNew: boolean }>;
  /** By id; undefined also for another organisation's. */
  find(orgId: OrgId, id: string): Promise<Federation | undefined>;
  /** By name, in any spelling. */
  named(orgId: OrgId, name: string): Promise<Federation | undefined>;
  /** At most `limit` of them, oldest first, after the one named. */
  list(orgId: OrgId, page: { readonly limit: number; readonly after?: Federation }): Promise<Federation[]>;
}

interface FederationRow extends Record<string, unknown> {
  id: string;
  org_id: string;
  name: string;
  description: string;
  created_at: Date;
}
const COLUMNS = 'id, org_id, name, description, created_at';
const federationOf = (row: FederationRow): Federation => ({
  id: row.id,
  orgId: asOrgId(row.org_id),
  name: row.name,
  description: row.description,
  createdAt: row.created_at,
});

/** @param on as `edgeml_app`; each call is one statement in autocommit, `ensure` of a name that is taken two */
export function createFederationStore(on: Queryable): FederationStore {
  const store: FederationStore = {
    async ensure({ orgId, name, description, createdBy }) {
      const { rows } = await on.query<FederationRow>(
        `INSERT INTO ops.federations (id, org_id, name, description, created_by) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (id) DO NOTHING RETURNING ${COLUMNS}`,
        [federationIdOf(orgId, name), orgId, name, description, createdBy],
      );
      if (rows[0]) return { federation: federationOf(rows[0]), isNew: true };
      return { federation: (await store.named(orgId, name))!, isNew: false }; // rows are never removed
    },
    async find(orgId, id) {
      if (!UUID.test(id)) return undefined;
      const { rows } = await on.query<FederationRow>(
        `SELECT ${COLUMNS} FROM ops.federations WHERE org_id = $1 AND id = $2`,
        [orgId, id],
      );
      return rows[0] && federationOf(rows[0]);
    },
    named: (orgId, name) => store.find(orgId, federationIdOf(orgId, name)),
    async list(orgId, { limit, after }) {
      // Times are kept to the millisecond, which is what a Date holds: the row itself is found again.
      const { rows } = await on.query<FederationRow>(
        `SELECT ${COLUMNS} FROM ops.federations
          WHERE org_id = $1 AND ($2::timestamptz IS NULL OR (created_at, id) > ($2, $3::uuid))
          ORDER BY created_at, id LIMIT $4`,
        [orgId, after?.createdAt ?? null, after?.id ?? null, limit],
      );
      return rows.map(federationOf);
    },
  };
  return store;
}
