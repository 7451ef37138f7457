/**
 * Pure. Values that must not be mixed (docs/adr/0032-one-refusal-and-kinds-of-values.md). Numbers have brands: only the parsers here make them. Texts
 * have kinds: any text may stand for one, and one of a kind never stands for another.
 */

declare const brand: unique symbol;
type Brand<Base, Name extends string> = Base & { readonly [brand]: Name };

declare const kind: unique symbol;
type Kind<Name extends string> = string & { readonly [kind]?: Name };

/** Id of a model: UUID version 5 of its organisation and name. */
export type ModelId = Kind<'ModelId'>;

/** A version of a model, by semver.org 2.0.0; `domain/semver.ts` says which texts are. */
export type Semver = Kind<'Semver'>;

/** SHA-256 in 64 hexadecimal digits, lower case. */
export type Sha256 = Kind<'Sha256'>;

/** Place of an event in the log, from 0; -1 is before the first. */
export type LogIndex = Brand<number, 'LogIndex'>;

/** Place of an event in its stream, from 1; 0 is before the first. */
export type StreamVersion = Brand<number, 'StreamVersion'>;

function whole(n: number, least: number, what: string): number {
  if (Number.isSafeInteger(n) && n >= least) return n;
  throw new RangeError(`${n} is no ${what}: expected an integer from ${least}`);
}

/** @throws RangeError */
export const asLogIndex = (n: number): LogIndex => whole(n, -1, 'log index') as LogIndex;

/** @throws RangeError */
export const asStreamVersion = (n: number): StreamVersion => whole(n, 0, 'stream version') as StreamVersion;
