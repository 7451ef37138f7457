/** Pure. Numbers that must not be mixed. Only the parsers here make them; each may be used wherever its base type is asked for. */

declare const brand: unique symbol;
type Brand<Base, Name extends string> = Base & { readonly [brand]: Name };

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
