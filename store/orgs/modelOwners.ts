/** Whose a model is. Reads only; concurrent. The first fact of a model says it and never changes, so answers are kept. */
import type { ModelId } from '../../domain/brands.ts';
import { parseOrgId, type OrgId } from '../../domain/org.ts';
import { modelStream } from '../../domain/events/streams.ts';
import type { Queryable } from '../queryable.ts';

export interface ModelOwners {
  /** The organisation that registered the model; undefined for a model that nobody registered. */
  ownerOf(modelId: ModelId): Promise<OrgId | undefined>;
}

/** From the text: a fact may hold what the JSON functions of Postgres refuse. Quotes inside values are escaped. */
const OWNER = `SELECT substring(data::text FROM '"org_id":"([^"\\\\]+)"') AS org_id FROM store.events
  WHERE stream_id = $1 AND stream_version = 1`;
const MOST_KEPT = 10_000;

/** @param on where the first question about a model is asked */
export function createModelOwners(on: Queryable): ModelOwners {
  const kept = new Map<string, OrgId>();
  return {
    async ownerOf(modelId) {
      const known = kept.get(modelId);
      if (known !== undefined) return known;
      const { rows } = await on.query<{ org_id: string | null }>(OWNER, [modelStream(modelId)]);
      const owner = parseOrgId(rows[0]?.org_id ?? '');
      if (owner === undefined) return undefined; // not kept: it may be registered in the next moment
      if (kept.size >= MOST_KEPT) kept.delete(kept.keys().next().value!);
      kept.set(modelId, owner);
      return owner;
    },
  };
}
