/** Pure. Pieces of schemas that requests share. Lengths of text are code points. */
import Type from 'typebox';

/** A member that is not declared is an error. */
export const closed = { additionalProperties: false } as const;

/** Patterns: without control characters; and with tabs and line ends only. */
export const ONE_LINE = '^\\P{Cc}*$';
export const LINES = '^[\\P{Cc}\\t\\n\\r]*$';

/** Text of one line. NUL and half surrogate pairs never come this far: `parseJson` and `compileValidator` refuse them. */
export const Line = (most: number, least = 0) =>
  Type.String({ ...(least === 0 ? {} : { minLength: least }), maxLength: most, pattern: ONE_LINE });

/** Text of lines. */
export const Text = (most: number, least = 0) =>
  Type.String({ ...(least === 0 ? {} : { minLength: least }), maxLength: most, pattern: LINES });

/** Why a person does something: it goes into the log. */
export const Reason = Text(2_000, 1);
/** A version as a person sends it; `domain/semver.ts` says which are versions. */
export const VersionRef = Line(64, 1);
/** `500ms`, `2m`, `1.5h`, `7d`; `domain/duration.ts` reads it. */
export const Duration = Type.String({ pattern: '^\\d+(\\.\\d+)?(ms|s|m|h|d)$', maxLength: 20 });
