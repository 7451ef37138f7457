/** A fold as text, and back. What does not come back exactly as it was is not kept, and what does not fit is not used. */
import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { TSchema } from 'typebox';
import { Compile, type Validator } from 'typebox/compile';
import type { Folded, Machine } from '../../machines/fold.ts';

export interface SnapshotKey {
  readonly stream: string;
  /** As `foldKeyOf` names it. */
  readonly fold: string;
  /** Stream version of the last fact in it, and the id of that fact. */
  readonly version: number;
  readonly eventId: string;
}

export interface Snapshot extends SnapshotKey {
  /** JSON of `{value, context}`. */
  readonly state: string;
  /** SHA-256 of place and state, hex. */
  readonly checksum: string;
}

export const checksumOf = ({ stream, fold, version, eventId }: SnapshotKey, state: string) =>
  createHash('sha256')
    .update(JSON.stringify([stream, fold, version, eventId]))
    .update(state)
    .digest('hex');

/** undefined where JSON would lose something (an undefined member, a Date, a Map), or the stream has diverged. */
export function freeze(folded: Folded<unknown>, place: SnapshotKey): Snapshot | undefined {
  if (folded.divergence) return undefined;
  const whole = { value: folded.snapshot.value, context: folded.context };
  const state = JSON.stringify(whole);
  if (!isDeepStrictEqual(JSON.parse(state), whole)) return undefined;
  return { ...place, state, checksum: checksumOf(place, state) };
}

const validators = new WeakMap<TSchema, Validator>();
function fits(schema: TSchema, context: unknown): boolean {
  let validator = validators.get(schema);
  if (!validator) validators.set(schema, (validator = Compile(schema)));
  return validator.Check(context);
}

/** @returns the fold, or what is wrong with the snapshot; never throws */
export function thaw<C>(machine: Machine<C>, snapshot: Snapshot): Folded<C> | { readonly damaged: string } {
  const { state, checksum, version } = snapshot;
  if (checksumOf(snapshot, state) !== checksum) return { damaged: 'its checksum is another' };
  try {
    // Any JSON may be here: what is used of it is checked below.
    const { value, context } = JSON.parse(state) as { value: never; context: unknown };
    if (!fits(machine.context, context)) return { damaged: `its context is none of ${machine.name}` };
    const folded = machine.resume(value, context, version);
    return isDeepStrictEqual(folded.snapshot.value, value) ? folded : { damaged: 'its state is only half a state' };
  } catch (error) {
    return { damaged: String(error) };
  }
}
