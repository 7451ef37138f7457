/** Where each version of a model came from, and what was done with it. */
import type { ModelId, Semver } from '../../domain/brands.ts';
import { sql } from 'kysely';
import type { OrgId } from '../../domain/org.ts';
import { versionStream } from '../../domain/events/streams.ts';
import type { RolloutStateName } from '../../domain/states.ts';
import type { ReadDb } from '../database.ts';
import { held } from '../held.ts';
import type { Page, PageRequest } from '../page.ts';
import { rollouts } from '../rollouts/project.ts';
import { schemaOf } from '../table.ts';
import { listVersions } from './query.ts';
import type { VersionRow } from './schema.ts';

export interface LineageNode {
  readonly version: VersionRow;
  /** The newest hundred of the version, oldest first. */
  readonly rollouts: readonly { readonly id: number; readonly state: RolloutStateName }[];
}

const MOST_ROLLOUTS = 100;

interface Carried {
  readonly version: Semver;
  readonly rollout_id: number;
  readonly state: RolloutStateName;
}

/** One node per version, highest precedence first. @param position log index that both `versions` and `rollouts` have reached */
export async function readLineage(
  db: ReadDb,
  of: { readonly orgId: OrgId; readonly modelId: ModelId },
  request: PageRequest,
  position: number,
): Promise<Page<LineageNode>> {
  const page = await listVersions(db, of, request, position);
  // Streams of the organisation's own versions only, since the page holds no others.
  const streams = page.items.map(({ model_id, version }) => versionStream(model_id, version));
  const wanted = sql.ref<string>('wanted.stream');
  const ofOne = db
    .withSchema(schemaOf(rollouts))
    .selectFrom('rollouts')
    .select(['version', 'version_stream', 'rollout_id', 'state'])
    // As a span of one index, in its order: the planner would walk all rollouts by id where it takes the version for a common one.
    .where((eb) => eb(eb.refTuple('version_stream', 'rollout_id'), '>=', eb.tuple(wanted, 0)))
    .where((eb) => eb(eb.refTuple('version_stream', 'rollout_id'), '<=', eb.tuple(wanted, Number.MAX_SAFE_INTEGER)));
  const newest = held(ofOne, page.position, { by: ['version_stream', 'rollout_id'], isFalling: true }, MOST_ROLLOUTS);
  const carried = await sql<Carried>`
    SELECT found.* FROM unnest(${streams}::text[]) wanted (stream) CROSS JOIN LATERAL (${newest}) found
     ORDER BY rollout_id`.execute(db);
  const items = page.items.map((version) => ({
    version,
    rollouts: carried.rows
      .filter((r) => r.version === version.version)
      .map(({ rollout_id, state }) => ({ id: rollout_id, state })),
  }));
  return { ...page, items };
}
