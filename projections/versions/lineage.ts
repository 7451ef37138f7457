/** Where each version of a model came from, and what was done with it. */
import type { OrgId } from '../../domain/org.ts';
import type { ReadDb } from '../database.ts';
import { listRollouts } from '../rollouts/query.ts';
import type { RolloutRow } from '../rollouts/schema.ts';
import { listVersions } from './query.ts';
import type { VersionRow } from './schema.ts';

export interface LineageNode {
  readonly version: VersionRow;
  /** Oldest first. */
  readonly rollouts: readonly { readonly id: number; readonly state: string }[];
}

interface ModelOf {
  readonly orgId: OrgId;
  readonly modelId: string;
}

const PAGE = 500;

async function allRollouts(db: ReadDb, of: ModelOf, at: number): Promise<RolloutRow[]> {
  const rows: RolloutRow[] = [];
  for (let cursor: string | undefined; ;) {
    const request = { limit: PAGE, asOf: at, ...(cursor === undefined ? {} : { cursor }) };
    const page = await listRollouts(db, of, request, at);
    for (const row of page.items) rows.push(row);
    if (page.nextCursor === null) return rows;
    cursor = page.nextCursor;
  }
}

/** One node per version, newest first. @param at log index that both `versions` and `rollouts` have reached */
export async function readLineage(db: ReadDb, orgId: OrgId, modelId: string, at: number): Promise<LineageNode[]> {
  const model = { orgId, modelId };
  const [rows, of] = await Promise.all([listVersions(db, model, at), allRollouts(db, model, at)]);
  return rows.map((version) => ({
    version,
    rollouts: of
      .filter((r) => r.version === version.version)
      .map((r) => ({ id: r.rollout_id, state: r.state }))
      .reverse(),
  }));
}
