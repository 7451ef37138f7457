/** Pages of the log's facts, filtered: who did what when. */
import type { ModelId } from '../../domain/brands.ts';
import type { OrgId } from '../../domain/org.ts';
import type { Kysely } from 'kysely';
import type { SequencedEvent } from '../../domain/events/envelope.ts';
import type { StreamKind } from '../../domain/events/streams.ts';
import { sequencedEventOf } from '../../store/log/rows.ts';
import { selectEvents, type LogDatabase } from '../../store/log/tables.ts';
import type { ReadDb } from '../database.ts';
import { closePage, openPage, type Page, type PageRequest } from '../page.ts';
import { schemaOf } from '../table.ts';
import { activity } from './project.ts';

export interface EventFilter {
  readonly orgId: OrgId;
  readonly kind?: StreamKind;
  readonly type?: string;
  readonly modelId?: ModelId;
  readonly actorKind?: string;
  readonly actorId?: string;
  readonly stream?: string;
  /** First log index, inclusive. */
  readonly from?: number;
  /** Newest first; oldest first if absent. */
  readonly isNewestFirst?: boolean;
}

async function eventsAt(log: Kysely<LogDatabase>, indexes: readonly number[]): Promise<Map<number, SequencedEvent>> {
  if (indexes.length === 0) return new Map();
  const rows = await selectEvents(log)
    .where('l.log_index', 'in', [...indexes])
    .execute();
  const found = new Map<number, SequencedEvent>();
  for (const row of rows) {
    const { log_index, sequenced_at } = row;
    if (log_index === null || sequenced_at === null) continue; // excluded by the filter; the join's type does not know
    found.set(log_index, sequencedEventOf({ ...row, log_index, sequenced_at }));
  }
  return found;
}

/**
 * Facts in log order.
 *
 * @param position checkpoint of `activity`
 * @throws UndecodableFact for a fact that its schema refuses
 */
export async function listEvents(
  db: ReadDb,
  log: Kysely<LogDatabase>,
  filter: EventFilter,
  request: PageRequest,
  position: number,
): Promise<Page<SequencedEvent>> {
  const page = openPage<[number]>('events', filter, request, position);
  const { kind, type, modelId, actorKind, actorId, stream, from, isNewestFirst = false } = filter;
  let query = db
    .withSchema(schemaOf(activity))
    .selectFrom('activity')
    .select('log_index')
    .where('log_index', '<=', page.at)
    .where('org_id', '=', filter.orgId);
  if (kind !== undefined) query = query.where('kind', '=', kind);
  if (type !== undefined) query = query.where('type', '=', type);
  if (modelId !== undefined) query = query.where('model_id', '=', modelId);
  if (actorKind !== undefined) query = query.where('actor_kind', '=', actorKind);
  if (actorId !== undefined) query = query.where('actor_id', '=', actorId);
  if (stream !== undefined) query = query.where('stream', '=', stream);
  if (from !== undefined) query = query.where('log_index', '>=', from);
  if (page.after) query = query.where('log_index', isNewestFirst ? '<' : '>', page.after[0]);
  const rows = await query
    .orderBy('log_index', isNewestFirst ? 'desc' : 'asc')
    .limit(page.limit + 1)
    .execute();
  const events = await eventsAt(
    log,
    rows.map((r) => r.log_index),
  );
  const listed = rows.map(({ log_index }) => {
    const event = events.get(log_index);
    if (!event)
      throw new Error(
        `activity names log index ${log_index}, which the log does not hold; run \`edgeml audit verify\``,
      );
    return event;
  });
  return closePage('events', filter, page, listed, (event) => [event.logIndex]);
}
