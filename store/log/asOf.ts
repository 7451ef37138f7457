/** `as_of` in its three forms, as a log index. */
import { asLogIndex, type LogIndex } from '../../domain/brands.ts';
import { LifecycleError } from '../../domain/errors.ts';
import { UUID } from '../../domain/names.ts';
import type { Pool } from '../connect.ts';
import { parseInstant } from './instant.ts';
import { namedSql } from '../sql/namedSql.ts';

const AS_OF_TIME = namedSql('as_of_time');

const inFuture = (asOf: string, head: number) =>
  new LifecycleError('as_of_in_future', `as_of ${asOf} lies past the head, which is ${head}; ask for ${head} or less`, {
    more: { head },
  });

export interface AsOfSource {
  readonly pool: Pool;
  head(): Promise<LogIndex>;
  logIndexOf(eventId: string): Promise<LogIndex | null | undefined>;
}

/**
 * A position, `event:<id>`, or an RFC 3339 time: the greatest index given out by then, -1 before the first. A future time is
 * refused, since its answer would change.
 *
 * @throws LifecycleError `as_of_in_future` (also for an event that waits for its index), `event_not_found`, `invalid_input`
 */
export async function resolveAsOf(asOf: string, source: AsOfSource): Promise<LogIndex> {
  if (/^\d{1,15}$/.test(asOf)) {
    const head = await source.head();
    if (Number(asOf) > head) throw inFuture(asOf, head);
    return asLogIndex(Number(asOf));
  }
  if (asOf.startsWith('event:')) {
    const id = asOf.slice('event:'.length);
    const index = UUID.test(id) ? await source.logIndexOf(id) : undefined;
    if (index === undefined)
      throw new LifecycleError('event_not_found', `as_of names event ${id}, which is not stored`);
    if (index === null) throw inFuture(asOf, await source.head());
    return index;
  }
  const instant = parseInstant(asOf);
  if (instant === undefined) {
    const detail = `as_of "${asOf}" is neither a position, event:<id> nor an RFC 3339 time`;
    throw new LifecycleError('invalid_input', detail, { errors: [{ pointer: '/as_of', detail }] });
  }
  const { rows } = await source.pool.query<{ ahead: boolean; log_index: number }>(AS_OF_TIME, [instant]);
  if (rows[0]!.ahead) throw inFuture(asOf, await source.head());
  return asLogIndex(rows[0]!.log_index);
}
