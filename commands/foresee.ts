/** Several decisions about one stream in one append: the second is taken as if the first had been recorded. */
import type { StreamState } from '../domain/states.ts';
import type { Decision } from '../machines/decision.ts';
import type { Folded, Machine } from '../machines/fold.ts';

/** The state once the facts of `decision` are in the log; the state itself where it adds none. */
export function foresee<C, S extends StreamState, F extends { type: string; data: unknown }>(
  machine: Machine<C, S>,
  folded: Folded<C, S>,
  decision: Decision<F>,
  now: number,
): Folded<C, S> {
  if (decision.kind !== 'facts') return folded;
  return decision.facts.reduce(
    (state, fact) => machine.step(state, { ...fact, at: now, eventId: '', version: state.version + 1 }),
    folded,
  );
}
