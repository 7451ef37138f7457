/** Pieces of JSON that several routes share: members, pages, the answer of a command, the one error body. */
import Type, { type Static, type TObject, type TProperties, type TSchema } from 'typebox';
import { Count, Instant, Nullable, Sha256Text } from '../domain/events/fact.ts';
import { closed, Duration, Line, LINES, ONE_LINE, Reason, Text, VersionRef } from '../domain/requestSchemas.ts';
import { STREAM_STATES } from '../domain/states.ts';

export { closed, Count, Duration, Instant, Line, LINES, Nullable, ONE_LINE, Reason, Sha256Text, Text, VersionRef };

export const Uuid = Type.String({ pattern: '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$' });

/** One of some words. */
export const wordOf = <const W extends string>(words: readonly W[]) =>
  Type.Unsafe<W>(Type.Union(words.map((word) => Type.Literal(word))));

/** A name as a person sends it, its letters and accents apart; `domain/names.ts` says what is stored, and refuses the rest. */
export const Name = Type.String({ minLength: 1, maxLength: 600 });
/** A model's id, or its name in any spelling, with or without a `:suffix`. */
export const ModelRef = Line(600, 1);
/** A device's id, or its own identifier, which is taken as it is. No "." and "..": clients remove them from paths. */
export const DeviceRef = Type.String({ minLength: 1, maxLength: 200, pattern: '^(?!\\.{1,2}$)\\P{Cc}*$' });
/** What was changed of what was sent, as sentences. */
export const Warnings = Type.Optional(Type.Array(Type.String()));
/** `log_index`; null while the sequencer has not placed the event. */
export const Position = Nullable(Type.Integer({ minimum: -1 }));

/** One fact that a command appended. */
export const EventRef = Type.Object(
  {
    id: Uuid,
    type: Type.String(),
    stream: Type.String(),
    stream_version: Type.Integer({ minimum: 1 }),
    position: Position,
  },
  closed,
);
export type EventRef = Static<typeof EventRef>;

const commandMembers = { events: Type.Array(EventRef), position: Position };

/** What a command answers: the resource as it is now, and the facts it appended (none if it was so already). */
export const commanded = <P extends TProperties>(resource: TObject<P>) =>
  Type.Object({ ...resource.properties, ...commandMembers }, closed);

/** One page of a list; `position` is the log index up to which the read model had followed. */
export const pageOf = <S extends TSchema>(item: S) =>
  Type.Object(
    { items: Type.Array(item), next_cursor: Nullable(Type.String()), position: Type.Integer({ minimum: -1 }) },
    closed,
  );

/** One page of a list that is no read model's. */
export const rowsOf = <S extends TSchema>(item: S) =>
  Type.Object({ items: Type.Array(item), next_cursor: Nullable(Type.String()) }, closed);

export const RowsQuery = {
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 500, default: 500 })),
  cursor: Type.Optional(Line(2_000)),
};

export const PageQuery = {
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 500, default: 50 })),
  cursor: Type.Optional(Line(2_000)),
  /** Waits up to 2 s (`Prefer: wait=N`) until the read model has come this far: a position, or `event:<id>`. */
  min_position: Type.Optional(Line(60)),
};

/** Time travel: a position, `event:<id>`, or an RFC 3339 time. */
export const AsOfQuery = { as_of: Type.Optional(Line(60)) };

export const Guard = Type.Object(
  { name: Type.String(), met: Type.Boolean(), why: Type.String(), how_to_meet: Type.String() },
  closed,
);

/** Of a stream of any kind; `None` before its first fact. */
export const StreamState = wordOf(STREAM_STATES);

/** RFC 9457 and what existing SDKs read: one body for every error, on both APIs. Codes may add members of their own. */
export const Problem = Type.Object(
  {
    type: Type.String(),
    title: Type.String(),
    status: Type.Integer(),
    status_code: Type.Integer(),
    detail: Type.String(),
    message: Type.String(),
    code: Type.String(),
    instance: Type.String(),
    request_id: Type.String(),
    retryable: Type.Boolean(),
    /** Of the stream that refuses. */
    state: Type.Optional(StreamState),
    command: Type.Optional(Type.String()),
    errors: Type.Optional(Type.Array(Type.Object({ pointer: Type.String(), detail: Type.String() }, closed))),
    guards: Type.Optional(Type.Array(Guard)),
    appended: Type.Optional(Type.Union([Type.Boolean(), Type.Literal('unknown')])),
  },
  { additionalProperties: true },
);
export type Problem = Static<typeof Problem> & { readonly [member: string]: unknown };

/** `?dry_run=true`: nothing is appended. */
export const CommandQuery = Type.Object({ dry_run: Type.Optional(Type.Boolean()) }, closed);

/** What a dry run answers: the facts that would be appended, or the guards that refuse them. */
export const DryRun = Type.Object(
  {
    would_append: Type.Array(
      Type.Object(
        { stream: Type.String(), type: Type.String(), data: Type.Record(Type.String(), Type.Unknown()) },
        closed,
      ),
    ),
    guards: Type.Array(Guard),
  },
  closed,
);
export type DryRun = Static<typeof DryRun>;

export const JsonObject = Type.Record(Type.String(), Type.Unknown());
