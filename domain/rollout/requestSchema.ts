/**
 * Pure. The body of `POST /models/{m}/rollouts`, each member said once: the HTTP interface validates by it and shows it, and the parser (`spec.ts`) knows
 * its members from it and holds the numbers against each other.
 */
import Type, { type Static, type TObject } from 'typebox';
import { Filter, RolloutSpec, Rule } from '../events/rollout.ts';
import { EvidencePolicy, MetricPolicy } from '../events/verdict.ts';
import { Nullable } from '../events/fact.ts';
import { closed, Duration, Line, VersionRef } from '../requestSchemas.ts';

export const MAX_STAGES = 100;
export const MAX_RULES = 50;

/** Names of the members of an object. */
export const membersOf = (schema: TObject): readonly string[] => Object.keys(schema.properties);

/** Durations that are left out follow from the place of the stage. */
export const AskedStage = Type.Object(
  {
    percent: Type.Number({ exclusiveMinimum: 0, maximum: 100 }),
    ramp: Type.Optional(Duration),
    min_bake: Type.Optional(Duration),
    max_bake: Type.Optional(Duration),
  },
  closed,
);

/** Minimums that are left out follow from the metric. */
export const AskedRule = Type.Object(
  {
    ...Rule.properties,
    op: Type.Optional(Rule.properties.op),
    min_predictions: Type.Optional(Rule.properties.min_predictions),
    min_devices: Type.Optional(Rule.properties.min_devices),
  },
  closed,
);
export const AskedRules = Type.Object({ rules: Type.Array(AskedRule, { maxItems: MAX_RULES }) }, closed);

/** Members that are left out follow from the metric; a metric takes those that it has. */
const AskedMetric = Type.Object(
  {
    gate: Type.Optional(Type.Boolean()),
    limit: Type.Optional(Nullable(Type.Number())),
    on_limit: Type.Optional(MetricPolicy.properties.on_limit),
    tolerated: Type.Optional(Type.Number()),
    slower: Type.Optional(Type.Number()),
    after: Type.Optional(Duration),
  },
  closed,
);
export const AskedTrust = Type.Object({ stale_after: Type.Optional(Nullable(Duration)) }, closed);
export const AskedVerdict = Type.Object(
  {
    alpha: Type.Optional(Type.Number()),
    beta: Type.Optional(Type.Number()),
    proven: Type.Optional(Type.Number()),
    negligible: Type.Optional(Nullable(Type.Number())),
  },
  closed,
);

/** What is left out takes its default. `stages` or `preset`, not both. With `start` it begins at once, in the same append. */
export const CreateRollout = Type.Object(
  {
    version: VersionRef,
    stages: Type.Optional(Type.Array(AskedStage, { minItems: 1, maxItems: MAX_STAGES })),
    preset: Type.Optional(Type.Union([Type.Literal('canary'), Type.Literal('immediate')])),
    cohort: Type.Optional(Filter),
    exclude: Type.Optional(Filter),
    look: Type.Optional(Duration),
    /** Fixed limits on totals, or the judge with stated rates of error. Members below belong to the latter, and ask for it. */
    policy: Type.Optional(Type.Union([Type.Literal('evidence'), AskedRules])),
    metrics: Type.Optional(Type.Record(Line(40), AskedMetric)),
    trust: Type.Optional(AskedTrust),
    verdict: Type.Optional(AskedVerdict),
    if_unproven: Type.Optional(EvidencePolicy.properties.if_unproven),
    /** Percent of the cohort that stays on the stable version until the rollout ends. */
    holdback: Type.Optional(Type.Number()),
    on_regressed: Type.Optional(RolloutSpec.properties.on_regressed),
    start: Type.Optional(Type.Boolean()),
  },
  closed,
);
export type CreateRollout = Static<typeof CreateRollout>;
