/** Pure. What a machine answers to a command: the facts that follow, "already so", or a refusal that names each guard. */
import type { ErrorCode, Guard } from '../domain/errors.ts';
import type { StreamState } from '../domain/states.ts';
import type { Folded, Machine } from './fold.ts';

export interface Refusal {
  readonly state: StreamState;
  readonly command: string;
  readonly guards: readonly Guard[];
  /** `guard_refused` unless a guard has a code of its own, such as `version_not_monotone`. */
  readonly code: ErrorCode;
  /** Members of the answer beside the guards, such as the rollout that stands in the way. */
  readonly more?: Readonly<Record<string, unknown>>;
}

export type Decision<F> =
  | { readonly kind: 'facts'; readonly facts: readonly F[] }
  | { readonly kind: 'already' }
  | { readonly kind: 'refused'; readonly refusal: Refusal };

/** A guard that holds, or one that says why not and how to meet it. */
export function guard(name: string, met: boolean, why: string, howToMeet: string): Guard {
  return { name, met, why, how_to_meet: met ? '' : howToMeet };
}

export const already = { kind: 'already' } as const;

/**
 * The facts, if the chart accepts them from this state and every guard holds. A wrong state is itself a guard, whose
 * `how_to_meet` names the legal states; those of the other guards are left out then, since they speak of the legal states.
 *
 * @param now Unix ms at which the facts are proposed
 */
export function decideFacts<C, S extends StreamState, F extends { type: string; data: unknown }>(
  machine: Machine<C, S>,
  folded: Folded<C, S>,
  command: string,
  facts: readonly F[],
  guards: readonly Guard[],
  now: number,
  code: ErrorCode = 'guard_refused',
): Decision<F> {
  const refused = machine.propose(folded, facts, now).refused;
  const inState = refused === undefined;
  const state: Guard = guard(
    'state',
    inState,
    inState ? `${folded.state} allows it` : `${command} is not legal in ${folded.state}`,
    refused === undefined ? '' : `legal in: ${machine.statesAccepting(refused).join(', ') || 'no state'}`,
  );
  const all = [state, ...(inState ? guards : guards.map((g) => ({ ...g, how_to_meet: '' })))];
  if (all.every((g) => g.met)) return { kind: 'facts', facts };
  return {
    kind: 'refused',
    refusal: { state: folded.state, command, guards: all, code: inState ? code : 'guard_refused' },
  };
}

/** One sentence for people: the unmet guards of a refusal. */
export function describeRefusal(refusal: Refusal): string {
  const unmet = refusal.guards.filter((g) => !g.met);
  return `${refusal.command} is refused in state ${refusal.state}: ${unmet
    .map((g) => `${g.name}: ${g.why}${g.how_to_meet ? ` (${g.how_to_meet})` : ''}`)
    .join('; ')}`;
}
