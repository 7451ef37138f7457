/** The draft of a post-mortem (`domain/rollout/postMortem.ts`). */
import Type, { type Static } from 'typebox';
import { Conviction, RollbackTrigger } from '../domain/events/rollout.ts';
import { closed, Count, Instant, Nullable } from './common.ts';

const EvidenceTrigger = Type.Object(
  {
    metric: Type.String(),
    /** Who is hurt; null: everyone. */
    named: Nullable(Type.String()),
    canary_bad: Count,
    control_bad: Count,
    canary: Count,
    control: Count,
    log: Type.Number(),
    threshold: Type.Number(),
    clock_ms: Count,
    /** What pre-flight had promised: the smallest multiple of control that it would convict. */
    promised: Nullable(Type.Number()),
    told: Type.String(),
    segments: Type.Array(
      Type.Object({ segment: Type.String(), canary_bad: Count, control_bad: Count, excess: Type.Number() }, closed),
    ),
  },
  closed,
);

const Trigger = Type.Object(
  {
    kind: RollbackTrigger,
    actor: Type.String(),
    reason: Type.String(),
    stage: Nullable(Type.Integer()),
    rule: Nullable(Type.Object({ ...Conviction.properties, value: Type.Number() }, closed)),
    /** What the windows showed; absent under fixed limits. */
    evidence: Type.Optional(EvidenceTrigger),
  },
  closed,
);

const Segment = Type.Object(
  {
    dimension: Type.Union([Type.Literal('platform'), Type.Literal('os')]),
    value: Type.String(),
    devices: Count,
    bad: Count,
    total: Count,
    control_bad: Count,
    control_total: Count,
    excess: Type.Number(),
  },
  closed,
);

const Exposure = Type.Object(
  {
    from: Nullable(Instant),
    to: Nullable(Instant),
    stages: Type.Array(
      Type.Object({ stage: Count, percent: Type.Number(), devices: Count, minutes: Type.Number() }, closed),
    ),
    completed: Nullable(Type.Object({ devices: Count, minutes: Type.Number() }, closed)),
    devices: Count,
    device_minutes: Type.Number(),
  },
  closed,
);

export const PostMortem = Type.Object(
  {
    rollout_id: Type.Integer({ minimum: 1 }),
    model_id: Type.String(),
    model: Nullable(Type.String()),
    version: Type.String(),
    target: Nullable(Type.String()),
    outcome: Type.Union([
      Type.Literal('rolled_back'),
      Type.Literal('aborted'),
      Type.Literal('completed'),
      Type.Literal('running'),
    ]),
    timeline: Type.Array(
      Type.Object({ at: Instant, type: Type.String(), actor: Type.String(), text: Type.String() }, closed),
    ),
    exposure: Exposure,
    trigger: Nullable(Trigger),
    segments: Type.Array(Segment),
    /** Null where they could not be counted in time. */
    devices: Nullable(Type.Object({ told: Count, back: Count, outstanding: Count }, closed)),
    root_cause: Nullable(Type.Object({ text: Type.String(), at: Instant, actor: Type.String() }, closed)),
  },
  closed,
);
export type PostMortem = Static<typeof PostMortem>;
