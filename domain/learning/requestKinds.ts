/** Pure. What a member of a request may be: the schema that the HTTP interface shows, and the sentence for a value that is not that. */
import Type, { type TSchema } from 'typebox';
import { Value } from 'typebox/value';
import { parseDuration } from '../duration.ts';
import { Nullable, Sha256Text } from '../events/fact.ts';
import { closed, Duration, Line, Reason, VersionRef } from '../requestSchemas.ts';
import { versionProblem } from '../semver.ts';

/** One sentence on what is wrong with a value, or undefined. */
export type Check = (value: unknown) => string | undefined;

export interface Kind {
  readonly schema: TSchema;
  /** At least as strict as the schema. */
  readonly check: Check;
}

/** @param also what the schema cannot say, of a value that it accepts */
const kind = (schema: TSchema, problem: string, also: Check = () => undefined): Kind => ({
  schema,
  check: (value) => (Value.Check(schema, value) ? also(value) : problem),
});

export const integer = (minimum: number, maximum: number): Kind =>
  kind(Type.Integer({ minimum, maximum }), `must be a whole number from ${minimum} to ${maximum}`);

export const positive = (maximum: number): Kind =>
  kind(Type.Number({ exclusiveMinimum: 0, maximum }), `must be a number above 0 and at most ${maximum}`);

export const share = (maximum: number): Kind =>
  kind(Type.Number({ minimum: 0, maximum }), `must be from 0 to ${maximum}`);

export const flag: Kind = kind(Type.Boolean(), 'must be true or false');

/** @param why after the words, for those of other releases */
export function literalOf(values: readonly (string | number)[], why = ''): Kind {
  const literals = values.map((value) => Type.Literal(value));
  const words = values.map((value) => JSON.stringify(value)).join(' or ');
  return kind(literals.length === 1 ? literals[0]! : Type.Union(literals), `must be ${words}${why}`);
}

export const orNull = ({ schema, check }: Kind): Kind => ({
  schema: Nullable(schema),
  check: (value) => (value === null ? undefined : check(value)),
});

export const sha256Text: Kind = kind(Sha256Text, 'must be 64 lower-case hex digits');

export const version: Kind = {
  schema: VersionRef,
  check: (value) => (typeof value === 'string' ? versionProblem(value) : 'must be a version such as 1.1.0'),
};

const NO_DURATION = 'must be a duration such as 500ms, 2m or 7d, at most 365d';
const lasts: Check = (value) => ((parseDuration(String(value)) ?? 0) > 0 ? undefined : NO_DURATION);
export const durationText: Kind = kind(Duration, NO_DURATION, lasts);

const NOT_TWO = 'must be two durations: the first pause and the longest';
/** OpenAPI 3.1 has no `items` list, which the library's tuple still writes. */
export const twoDurations: Kind = kind(
  Type.Array(Duration, { minItems: 2, maxItems: 2 }),
  NOT_TWO,
  // Safe: the schema holds.
  (value) => ((value as string[]).every((one) => lasts(one) === undefined) ? undefined : NOT_TWO),
);

export const names = (most: number, length: number): Kind =>
  kind(Type.Array(Line(length), { maxItems: most }), 'must be a list of names, such as ["loss", "accuracy"]');

/** Held-out data by its blob. */
export const evaluationSet: Kind = kind(
  Type.Object({ set: Sha256Text }, closed),
  'must be null or {"set": <SHA-256 of an uploaded blob>}',
);

export const withReason: Kind = kind(Type.Object({ reason: Reason }, closed), 'must be {"reason": "…"}');
