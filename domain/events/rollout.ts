/** Pure. Facts of stream `rollout-<id>`: how far a version may reach, what was judged, and how it ended. */
import Type, { type Static } from 'typebox';
import { Count, fact, ModelIdText, Nullable, SemverText, Sha256Text, type FactOf } from './fact.ts';
import { EvidenceJudgement, EvidencePolicy, FrozenEvidence, StageEvidence } from './verdict.ts';

const closed = { additionalProperties: false };
const Duration = Type.String({ pattern: '^\\d+(\\.\\d+)?(ms|s|m|h|d)$', maxLength: 20 });
/** Percent of the cohort; its grain of 0.01 is one bucket of 10,000. */
export const Percent = Type.Number({ minimum: 0, maximum: 100, multipleOf: 0.01 });

export const Stage = Type.Object({ percent: Percent, ramp: Duration, min_bake: Duration, max_bake: Duration }, closed);
export type Stage = Static<typeof Stage>;

/** A fixed threshold over the stage's totals; it says nothing before both minimums are met (docs/design/rollout.md "Thresholds"). */
export const Rule = Type.Object(
  {
    metric: Type.Union([
      Type.Literal('error_rate'),
      Type.Literal('latency_p95'),
      Type.Literal('download_failure_rate'),
    ]),
    op: Type.Union([Type.Literal('>'), Type.Literal('>=')]),
    /** A ratio for rates, milliseconds for latency. */
    value: Type.Number({ minimum: 0 }),
    min_predictions: Type.Integer({ minimum: 1 }),
    min_devices: Type.Integer({ minimum: 1 }),
  },
  closed,
);
export type Rule = Static<typeof Rule>;

const Names = Type.Array(Type.String({ minLength: 1, maxLength: 40 }), { minItems: 1, maxItems: 50 });
/** Up to four numbers, such as `14` or `3.2.1`. */
const Dotted = Type.String({ pattern: '^\\d{1,9}(\\.\\d{1,9}){0,3}$' });
export const FilterRange = Type.Object({ gte: Type.Optional(Dotted), lt: Type.Optional(Dotted) }, closed);

/** Devices by what they say of themselves: members are ANDed, values of a list ORed (docs/design/rollout.md "Cohorts"). */
export const Filter = Type.Object(
  {
    platform: Type.Optional(Names),
    region: Type.Optional(Names),
    /** With one platform only: numbers of two systems cannot be compared. */
    os: Type.Optional(FilterRange),
    app: Type.Optional(FilterRange),
  },
  closed,
);
export type Filter = Static<typeof Filter>;

/** Fixed limits on totals (`thresholds@1`). */
export const RulesPolicy = Type.Object({ rules: Type.Array(Rule) }, closed);
export type RulesPolicy = Static<typeof RulesPolicy>;

export const RolloutSpec = Type.Object(
  {
    version: SemverText,
    stages: Type.Array(Stage, { minItems: 1, maxItems: 100 }),
    cohort: Type.Optional(Filter),
    exclude: Type.Optional(Filter),
    look: Duration,
    policy: Type.Union([RulesPolicy, EvidencePolicy]),
    on_regressed: Type.Union([Type.Literal('rollback'), Type.Literal('hold')]),
  },
  closed,
);
export type RolloutSpec = Static<typeof RolloutSpec>;

/**
 * What one arm showed in one stage: integers only. `latency` counts predictions per bucket of `domain/rollout/latency.ts`;
 * keys are bucket indexes.
 */
export const ArmCounters = Type.Object(
  {
    devices: Count,
    predictions: Count,
    errors: Count,
    downloads: Count,
    download_failures: Count,
    latency: Type.Record(Type.String(), Count),
  },
  closed,
);
export type ArmCounters = Static<typeof ArmCounters>;

/** Downloads of a stage that a person set aside by resuming: only those after them can break a rule on downloads. */
export const SetAside = Type.Object({ downloads: Count, download_failures: Count }, closed);
export type SetAside = Static<typeof SetAside>;

export const Verdict = Type.Union([
  Type.Literal('PENDING'),
  Type.Literal('HEALTHY'),
  Type.Literal('REGRESSED'),
  Type.Literal('INCONCLUSIVE'),
]);
export type Verdict = Static<typeof Verdict>;

/** The rule that convicted: its value as integers, so that replay divides again. Latency: `numerator` µs over 1000. */
export const Conviction = Type.Object(
  {
    index: Count,
    metric: Type.String(),
    numerator: Count,
    denominator: Count,
    limit: Type.Number(),
    op: Type.String(),
  },
  closed,
);
export type Conviction = Static<typeof Conviction>;

export const Judgement = Type.Object(
  {
    stage: Count,
    /** Number of this HealthJudged in its stage, from 1. */
    look: Type.Integer({ minimum: 1 }),
    verdict: Verdict,
    algorithm: Type.Literal('thresholds@1'),
    rule: Nullable(Conviction),
    /** What the minimums still lack, in words; empty unless INCONCLUSIVE or PENDING. */
    missing: Type.Array(Type.String()),
    counters: Type.Object({ canary: ArmCounters, control: ArmCounters }, closed),
    set_aside: Type.Optional(SetAside),
    /** Stage clock at this look, milliseconds. */
    clock_ms: Count,
    policy_sha: Sha256Text,
  },
  closed,
);
export type Judgement = Static<typeof Judgement>;

/** What a look found, by whichever algorithm: `algorithm` tells them apart. */
export const HealthJudgement = Type.Union([Judgement, EvidenceJudgement]);
export type HealthJudgement = Static<typeof HealthJudgement>;

/** On what a stage was left by health: proven, no alarm where nothing can be proven, or neither. */
export const HealthBasis = Type.Union([Type.Literal('proven'), Type.Literal('quiet'), Type.Literal('unproven')]);
export type HealthBasis = Static<typeof HealthBasis>;
/** `auto`: by fixed limits; `manual`: a person's step, which proves nothing. */
export const StepBasis = Type.Union([Type.Literal('auto'), Type.Literal('manual'), ...HealthBasis.anyOf]);
export type StepBasis = Static<typeof StepBasis>;

/** `internal_fault`: a step failed the same way each time. */
export const PauseCause = Type.Union([
  Type.Literal('manual'),
  Type.Literal('inconclusive'),
  Type.Literal('no_restore_target'),
  Type.Literal('internal_fault'),
]);
export type PauseCause = Static<typeof PauseCause>;

/** What rolled a rollout back: a verdict of the judge, or a person. */
export const RollbackTrigger = Type.Union([Type.Literal('verdict'), Type.Literal('manual')]);
export type RollbackTrigger = Static<typeof RollbackTrigger>;

export const rolloutFacts = {
  RolloutCreated: fact('RolloutCreated', {
    model_id: ModelIdText,
    version: SemverText,
    previous: Nullable(SemverText),
    spec: RolloutSpec,
    spec_sha: Sha256Text,
  }),
  RolloutStarted: fact('RolloutStarted', {
    /** Lineage seed: decimal id of the first rollout of the lineage. */
    seed: Type.String({ pattern: '^[1-9]\\d*$' }),
    /** First bucket of the range. */
    lo: Type.Integer({ minimum: 0, maximum: 9999 }),
    /** Under the policy `evidence`. */
    evidence: Type.Optional(FrozenEvidence),
  }),
  StageEntered: fact('StageEntered', {
    stage: Count,
    /** Buckets of 10,000. */
    from: Type.Integer({ minimum: 0, maximum: 10_000 }),
    to: Type.Integer({ minimum: 0, maximum: 10_000 }),
    ramp_ms: Count,
    min_bake_ms: Count,
    max_bake_ms: Count,
    /** On what the stage before it was left. */
    basis: StepBasis,
    reason: Type.Optional(Type.String()),
    /** Under the policy `evidence`. */
    evidence: Type.Optional(StageEvidence),
  }),
  HealthJudged: { type: 'HealthJudged', schemaVersion: 1, schema: HealthJudgement } as const,
  RolloutPaused: fact('RolloutPaused', {
    cause: PauseCause,
    reason: Type.String(),
    missing: Type.Optional(Type.Array(Type.String())),
  }),
  RolloutResumed: fact('RolloutResumed', {
    reason: Type.Optional(Type.String()),
    /** The stage's downloads so far, where a rule on downloads had paused it. */
    set_aside: Type.Optional(SetAside),
  }),
  RolloutCompleted: fact('RolloutCompleted', {
    basis: StepBasis,
    /** Why a person completed before the bake was over. */
    reason: Type.Optional(Type.String()),
  }),
  RolloutAborted: fact('RolloutAborted', { reason: Type.String() }),
  RolloutRolledBack: fact('RolloutRolledBack', {
    /** The version devices return to; null: there is none, the version is withdrawn. */
    target: Nullable(SemverText),
    /** A person named the target; without it, it is what the rule says. */
    named: Type.Optional(Type.Literal(true)),
    trigger: RollbackTrigger,
    reason: Type.String(),
    evidence: Nullable(HealthJudgement),
  }),
  RootCauseRecorded: fact('RootCauseRecorded', { text: Type.String({ minLength: 1, maxLength: 20_000 }) }),
};
export type RolloutFact = FactOf<typeof rolloutFacts>;
