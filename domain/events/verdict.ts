/**
 * Pure. Shapes of the policy `evidence` and of a judgement of `verdict@1` (docs/design/judge.md "Recorded, recomputed"). Metrics and segments are
 * names here; their meaning is in `domain/rollout/verdict/metrics.ts`.
 */
import Type, { type Static } from 'typebox';
import { Count, Nullable, Sha256Text } from './fact.ts';

const closed = { additionalProperties: false };
const Duration = Type.String({ pattern: '^\\d+(\\.\\d+)?(ms|s|m|h|d)$', maxLength: 20 });
const Name = Type.String({ maxLength: 40 });
/** Canary, control. A list of two, since what OpenAPI takes for a tuple differs from what validators do. */
const Arms = Type.Unsafe<[number, number]>(Type.Array(Count, { minItems: 2, maxItems: 2 }));
/** Above 0 and below 1. */
const Share = Type.Number({ exclusiveMinimum: 0, exclusiveMaximum: 1 });

export const MetricPolicy = Type.Object(
  {
    /** False: it is counted and shown, and never decides. */
    gate: Type.Boolean(),
    /** Share of devices that may be bad; null: A does not watch this metric. */
    limit: Nullable(Share),
    on_limit: Type.Union([Type.Literal('hold'), Type.Literal('rollback')]),
    /** How many times as bad as control canary may be. */
    tolerated: Type.Number({ minimum: 1, maximum: 100 }),
    /** Latency: how many times as slow as stable a prediction of canary may be before it counts as slow. */
    slower: Type.Optional(Type.Number({ minimum: 1, maximum: 100 })),
    /** Silence: how long without contact. */
    after: Type.Optional(Duration),
  },
  closed,
);
export type MetricPolicy = Static<typeof MetricPolicy>;

export const EvidencePolicy = Type.Object(
  {
    metrics: Type.Record(Type.String(), MetricPolicy),
    /** Null: twice the longest silence of the last 7 days alone decides. */
    trust: Type.Object({ stale_after: Nullable(Duration) }, closed),
    verdict: Type.Object(
      {
        /** Chance that a whole rollout of a good version is convicted. */
        alpha: Share,
        /** Chance that a bad one is called proven. */
        beta: Share,
        /** "Proven" is not this many times as bad as control. */
        proven: Type.Number({ exclusiveMinimum: 1, maximum: 100 }),
        /** Share of devices that harms nobody; null: each metric has its own. */
        negligible: Nullable(Share),
      },
      closed,
    ),
    if_unproven: Type.Union([Type.Literal('auto'), Type.Literal('advance'), Type.Literal('ask')]),
    on_regressed: Type.Union([Type.Literal('rollback'), Type.Literal('hold')]),
    /** Percent of the cohort that stays on the stable version until the rollout ends. */
    holdback: Type.Number({ minimum: 0, maximum: 50, multipleOf: 0.01 }),
  },
  closed,
);
export type EvidencePolicy = Static<typeof EvidencePolicy>;

/** What is fixed at the start of a rollout, before any device was told. */
export const FrozenEvidence = Type.Object(
  {
    /** Metrics that devices on the stable version sent in the 7 days before, and those that are always sent. */
    measured: Type.Array(Name, { maxItems: 50 }),
    /** Whole microseconds of the stable version's 95th percentile, by platform; a platform that is not there is not measured. */
    frozen_q: Type.Record(Type.String(), Count),
    /** Of the stable version on its validation data, in millionths; null: not known, so drift is not measured. */
    accuracy: Nullable(Count),
  },
  closed,
);
export type FrozenEvidence = Static<typeof FrozenEvidence>;

/** What is fixed when a stage is entered: what is tested, and what pre-flight said of it. */
export const StageEvidence = Type.Object(
  {
    /** Devices of the cohort stay on a stable version throughout the stage. */
    has_control: Type.Boolean(),
    /** Segments that expect enough devices to be judged apart. */
    segments: Type.Array(Type.String({ maxLength: 120 }), { maxItems: 200 }),
    /** Devices that are expected in canary and control. */
    expected: Arms,
    /** Whether a healthy version is proven in 9 runs of 10. */
    can_prove: Type.Boolean(),
    /** The smallest multiple of control that is convicted in 9 runs of 10, by metric; null: none that was tried. */
    convicts: Type.Record(Type.String(), Nullable(Type.Number())),
  },
  closed,
);
export type StageEvidence = Static<typeof StageEvidence>;

/** A log in millionths: what decides is what is recorded. Logs without bound are kept at ± 2^53. */
const Millionths = Type.Integer();
const tally = { x: Count, y: Count, theta: Count };

export const EvidenceVerdict = Type.Union([
  Type.Literal('UNTRUSTED'),
  Type.Literal('REGRESSED'),
  Type.Literal('HELD'),
  Type.Literal('PENDING'),
  Type.Literal('HEALTHY'),
  Type.Literal('QUIET'),
  Type.Literal('INCONCLUSIVE'),
]);
export type EvidenceVerdict = Static<typeof EvidenceVerdict>;

export const JudgedMetric = Type.Object(
  {
    metric: Name,
    ...tally,
    opened: Arms,
    ended: Arms,
    /** ln G; null: not compared with control. */
    ln_g: Nullable(Millionths),
    /** ln A of canary, and of control; null: no limit is watched. */
    ln_a: Nullable(Millionths),
    ln_a_control: Nullable(Millionths),
  },
  closed,
);
export type JudgedMetric = Static<typeof JudgedMetric>;

export const JudgedSegment = Type.Object(
  { metric: Name, segment: Type.String({ maxLength: 120 }), ...tally, ln_g: Millionths },
  closed,
);
export type JudgedSegment = Static<typeof JudgedSegment>;

export const Guilt = Type.Object(
  {
    metric: Name,
    by: Type.Union([Type.Literal('G'), Type.Literal('A')]),
    /** The segment that alone is hurt; null: everyone. */
    named: Nullable(Type.String()),
    /** The test without the devices of the worst segment; null where no segment was asked. */
    rest: Nullable(Type.Object({ segment: Type.String(), ...tally }, closed)),
  },
  closed,
);
export type Guilt = Static<typeof Guilt>;

export const EvidenceJudgement = Type.Object(
  {
    algorithm: Type.Literal('verdict@1'),
    stage: Count,
    /** From 0 in each stage; grows where it begins anew: fresh windows, a fresh bake. */
    evidence_stage: Count,
    /** Number of this HealthJudged in its stage, from 1. */
    look: Type.Integer({ minimum: 1 }),
    clock_ms: Count,
    policy_sha: Sha256Text,
    verdict: EvidenceVerdict,
    /** Why it is UNTRUSTED. */
    distrust: Nullable(Type.Union([Type.Literal('stale'), Type.Literal('blind'), Type.Literal('recovering')])),
    guilt: Nullable(Guilt),
    /** Metrics over their limit, where that holds the rollout. */
    over_limit: Type.Array(Name),
    proven: Type.Array(Name),
    /** What a better verdict lacks, in words. */
    missing: Type.Array(Type.String()),
    /** Whole tests, and tests of segments. */
    tests: Type.Object({ whole: Count, segments: Count }, closed),
    /** What a log must reach to convict. */
    threshold: Millionths,
    metrics: Type.Array(JudgedMetric),
    /** Those with a bad window of canary, by falling ln G; at most 150. */
    segments: Type.Array(JudgedSegment, { maxItems: 150 }),
    /** What the verdict is a function of, besides the numbers above. */
    given: Type.Object(
      {
        has_control: Type.Boolean(),
        measured: Type.Array(Name),
        told: Count,
        active: Count,
        /** What pre-flight said of this stage. */
        can_prove: Type.Boolean(),
        proof_look: Type.Boolean(),
        proven_before: Type.Array(Name),
        segments: Count,
        /** Whole microseconds a prediction of the stable version took at its 95th percentile, by platform. */
        frozen_q: Type.Record(Type.String(), Count),
        silent_ms: Count,
        longest_gap_ms: Nullable(Count),
        blind: Type.Boolean(),
        good_looks_owed: Count,
      },
      closed,
    ),
  },
  closed,
);
export type EvidenceJudgement = Static<typeof EvidenceJudgement>;
