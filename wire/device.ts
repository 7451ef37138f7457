/** What devices say of themselves, and why one gets the version it gets. Registration is in `sdk.ts`. */
import Type, { type Static } from 'typebox';
import { closed, Count, Instant, ModelRef, Nullable, VersionRef } from './common.ts';

const Tally = Type.Object({ ok: Count, failed: Count }, closed);

/** Cumulative integers of one device, model and version; `seq` grows with each report, so a repeat counts nothing. */
export const DeviceReport = Type.Object(
  {
    /** Id or name. */
    model: ModelRef,
    version: VersionRef,
    seq: Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER }),
    predictions: Tally,
    downloads: Type.Optional(Tally),
    /** Predictions per latency bucket; keys are bucket indexes. */
    latency: Type.Optional(Type.Record(Type.String({ pattern: '^\\d{1,4}$' }), Count)),
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
