/** What the first outcome of a repeated command said: members of the answer that only the fact remembers. */
import { asStreamVersion } from '../domain/brands.ts';
import type { AnyFact } from '../domain/events/streams.ts';
import type { CommandDeps, Outcome } from './context.ts';

type DataOf<T extends AnyFact['type']> = Extract<AnyFact, { type: T }>['data'];

/** Data of the fact of `type` among the events of an outcome; undefined where there is none. */
export async function firstFact<T extends AnyFact['type']>(
  deps: CommandDeps,
  outcome: Outcome & { readonly outcome: 'duplicate' },
  type: T,
): Promise<DataOf<T> | undefined> {
  const event = outcome.events.find((e) => e.type === type);
  if (!event) return undefined;
  const [stored] = await deps.log.readPart(event.stream, { after: asStreamVersion(event.version - 1), limit: 1 });
  // The codec read it under this type.
  return stored?.fact.data as DataOf<T> | undefined;
}
