/** The organisations of this instance. Durable when it returns; concurrent; `ensure` is idempotent. */
import { LifecycleError } from '../../domain/errors.ts';
import { asOrgId, type OrgId } from '../../domain/org.ts';
import type { Queryable } from '../queryable.ts';

export interface Org {
  readonly id: OrgId;
  readonly name: string;
  readonly createdAt: Date;
  /** Key id of who asked, or `system`. */
  readonly createdBy: string;
}

export interface OrgStore {
  /** @throws LifecycleError `conflict` where the id is taken */
  create(org: { readonly id: OrgId; readonly name: string; readonly createdBy: string }): Promise<Org>;
  /** Makes the organisation unless it is there. */
  ensure(id: OrgId): Promise<void>;
  /** At most `limit` of them, by id, after the id `after`. */
  list(page: { readonly limit: number; readonly after?: string }): Promise<Org[]>;
}

interface OrgRow extends Record<string, unknown> {
  id: string;
  name: string;
  created_at: Date;
  created_by: string;
}
const COLUMNS = 'id, name, created_at, created_by';
const orgOfRow = (row: OrgRow): Org => ({
  id: asOrgId(row.id),
  name: row.name,
  createdAt: row.created_at,
  createdBy: row.created_by,
});

/** @param on as `edgeml_app`; each call is one statement in autocommit */
export function createOrgStore(on: Queryable): OrgStore {
  return {
    async create({ id, name, createdBy }) {
      const { rows } = await on.query<OrgRow>(
        `INSERT INTO ops.orgs (id, name, created_by) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING RETURNING ${COLUMNS}`,
        [id, name, createdBy],
      );
      if (rows[0]) return orgOfRow(rows[0]);
      throw new LifecycleError('conflict', `There is an organisation ${id} already. Choose another id.`);
    },
    async ensure(id) {
      await on.query(`INSERT INTO ops.orgs (id, name, created_by) VALUES ($1, $1, 'system') ON CONFLICT DO NOTHING`, [
        id,
      ]);
    },
    async list({ limit, after = '' }) {
      const sql = `SELECT ${COLUMNS} FROM ops.orgs WHERE id > $1 ORDER BY id LIMIT $2`;
      const { rows } = await on.query<OrgRow>(sql, [after, limit]);
      return rows.map(orgOfRow);
    },
  };
}
