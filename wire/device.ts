/** What devices say of themselves, and why one gets the version it gets. Registration is in `deviceCalls.ts`. */
import Type, { type Static } from 'typebox';
import { closed, Count, Instant, ModelRef, Nullable, VersionRef } from './common.ts';

const Tally = Type.Object({ ok: Count, failed: Count }, closed);

/** Whole numbers of one device, session, model and version: cumulative within the session. What is absent stands as before in the session. */
export const DeviceReport = Type.Object(
  {
    session: Type.String({
      pattern: '^[A-Za-z0-9._:-]{1,64}$',
      description: 'a random id that the device draws when its process starts; all numbers count from 0 within it',
    }),
    seq: Type.Integer({
      minimum: 1,
      maximum: Number.MAX_SAFE_INTEGER,
      description: 'the number of this report within its session, from 1; it grows with each report',
    }),
    acked: Type.Integer({
      minimum: 0,
      maximum: Number.MAX_SAFE_INTEGER,
      description: 'the newest seq of this session that was answered, 0 before the first answer',
    }),
    /** Id or name. */
    model: ModelRef,
    version: VersionRef,
    predictions: Type.Optional(Tally),
    downloads: Type.Optional(Type.Object({ started: Count, ok: Count, failed: Count }, closed)),
    /** Into memory, ready to predict. */
    loads: Type.Optional(Tally),
    /** Predictions per latency bucket; keys are bucket indexes. */
    latency: Type.Optional(Type.Record(Type.String({ pattern: '^\\d{1,4}$' }), Count)),
    /** The app died while this version was loaded; told at its next start. */
    crashes: Type.Optional(Count),
    /** This version was given up for another one. */
    fallbacks: Type.Optional(Count),
    /** Predictions whose right answer became known. */
    labelled: Type.Optional(Type.Object({ correct: Count, total: Count }, closed)),
  },
  closed,
);
export type DeviceReport = Static<typeof DeviceReport>;

/** A device whose tokens were revoked; whoever registers its identifier next has it. */
export const ReleasedDevice = Type.Object(
  {
    id: Type.String(),
    device_identifier: Type.String(),
    /** Tokens of an earlier one are refused. */
    generation: Type.Integer({ minimum: 1 }),
    released_at: Instant,
    /** Key id. */
    released_by: Type.String(),
  },
  closed,
);
export type ReleasedDevice = Static<typeof ReleasedDevice>;

export const ReportAnswer = Type.Object(
  {
    /** This sequence number, or a later one, was counted before. */
    duplicate: Type.Boolean(),
    /** The session was answered before and is not known any more: nothing was counted, and nothing of it ever will. Draw a new one. */
    forgotten: Type.Boolean(),
    attributed: Nullable(
      Type.Object(
        {
          rollout_id: Type.Integer(),
          stage: Type.Integer(),
          arm: Type.Union([Type.Literal('canary'), Type.Literal('control')]),
        },
        closed,
      ),
    ),
  },
  closed,
);
export type ReportAnswer = Static<typeof ReportAnswer>;

export const Why = Type.Object(
  {
    version: Nullable(Type.String()),
    source: Type.String(),
    rollout_id: Nullable(Type.Integer()),
    bucket: Nullable(Type.Integer()),
    rules: Type.Array(Type.Object({ rule: Type.String(), met: Type.Boolean(), detail: Type.String() }, closed)),
  },
  closed,
);
export type Why = Static<typeof Why>;
