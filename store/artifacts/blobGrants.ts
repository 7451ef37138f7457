/**
 * Which organisation may open which blob: the one that uploaded it, or whose facts name it. Durable when it returns (on a
 * transaction: when that commits); concurrent; unordered; idempotent. A grant is never taken back.
 */
import type { Sha256 } from '../../domain/brands.ts';
import type { OrgId } from '../../domain/org.ts';
import type { Queryable } from '../queryable.ts';

export interface BlobGrants {
  has(orgId: OrgId, sha256: Sha256): Promise<boolean>;
  /** @param on the transaction that makes the blob known, so that neither is there without the other */
  grant(orgId: OrgId, sha256s: readonly string[], on?: Queryable): Promise<void>;
}

/** @param pool as `edgeml_app`, for calls outside a transaction */
export function createBlobGrants(pool: Queryable): BlobGrants {
  return {
    async has(orgId, sha256) {
      const { rows } = await pool.query(
        `SELECT FROM ops.blob_grants WHERE org_id = $1 AND sha256 = decode($2, 'hex')`,
        [orgId, sha256],
      );
      return rows.length > 0;
    },
    async grant(orgId, sha256s, on = pool) {
      if (sha256s.length === 0) return;
      await on.query(
        `INSERT INTO ops.blob_grants (org_id, sha256)
         SELECT $1, decode(sha, 'hex') FROM unnest($2::text[]) sha GROUP BY 2 ORDER BY 2 ON CONFLICT DO NOTHING`,
        [orgId, [...sha256s]],
      );
    },
  };
}
