/** Pure. What a machine answers to a command: the facts that follow, "already so", or a refusal that names each guard. */
import type { ErrorCode, Guard } from '../domain/errors.ts';
import type { Refusal } from '../domain/refusal.ts';
import type { StreamState } from '../domain/states.ts';
import type { Folded, Machine } from './fold.ts';

/** A refusal that says in which state, and names every guard. `code` is `guard_refused` unless a guard has one of its own. */
export interface GuardRefusal extends Refusal {
  readonly state: StreamState;
  readonly command: string;
  readonly guards: readonly Guard[];
}

export type Decision<F> =
  | { readonly kind: 'facts'; readonly facts: readonly F[] }
  | { readonly kind: 'already' }
  | { readonly kind: 'refused'; readonly refusal: GuardRefusal };

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
  return refuseByGuards(folded.state, command, all, inState ? code : 'guard_refused');
}

/** The command is refused by those of the guards that are not met; its detail is one sentence with each of them. */
export function refuseByGuards(
  state: StreamState,
  command: string,
  guards: readonly Guard[],
  code: ErrorCode,
): Extract<Decision<never>, { kind: 'refused' }> {
  const unmet = guards
    .filter((g) => !g.met)
    .map((g) => `${g.name}: ${g.why}${g.how_to_meet ? ` (${g.how_to_meet})` : ''}`);
  const detail = `${command} is refused in state ${state}: ${unmet.join('; ')}.`;
  return { kind: 'refused', refusal: { code, detail, state, command, guards } };
}
