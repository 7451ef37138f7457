/** Pure. Facts of stream `training-<run id>`: a federated training run and its rounds. No fact is about one device. */
import Type, { type Static } from 'typebox';
import { closed, Duration } from '../requestSchemas.ts';
import {
  Count,
  Counts,
  fact,
  ModelIdText,
  Figures,
  Instant,
  Nullable,
  SemverText,
  Sha256Text,
  type FactOf,
} from './fact.ts';

/** The frozen spec of a run (docs/design/learning.md "The spec of a run"). Durations are strings: `500ms`, `2m`, `7d`. */
export const TrainingSpec = Type.Object(
  {
    model_id: ModelIdText,
    base_version: Nullable(SemverText),
    init_artifact: Nullable(Sha256Text),
    new_version: SemverText,
    rounds: Type.Integer({ minimum: 1, maximum: 10_000 }),
    min_updates: Type.Integer({ minimum: 1 }),
    goal: Nullable(Type.Integer({ minimum: 1 })),
    seed: Sha256Text,
    selection: Type.Object(
      { strategy: Type.Literal('open'), dropout: Type.Number({ minimum: 0, maximum: 0.95 }) },
      closed,
    ),
    windows: Type.Object({ selection: Duration, report: Duration, extend: Duration }, closed),
    on_quorum_miss: Type.Object({ retry: Count, backoff: Type.Tuple([Duration, Duration]) }, closed),
    client: Type.Object(
      {
        epochs: Type.Integer({ minimum: 1 }),
        batch_size: Type.Integer({ minimum: 1 }),
        lr: Type.Number({ exclusiveMinimum: 0 }),
        proximal_mu: Type.Literal(0),
      },
      closed,
    ),
    aggregation: Type.Object(
      {
        rule: Type.Literal('fedavg'),
        weight: Type.Union([Type.Literal('samples'), Type.Literal('uniform')]),
        weight_cap: Type.Integer({ minimum: 1 }),
      },
      closed,
    ),
    server_optimizer: Type.Object({ name: Type.Literal('sgd'), lr: Type.Number({ exclusiveMinimum: 0 }) }, closed),
    admission: Type.Object(
      {
        max_norm: Nullable(Type.Number({ exclusiveMinimum: 0 })),
        max_samples: Type.Integer({ minimum: 1 }),
        zero_samples: Type.Literal('reject'),
        per_device: Type.Literal(1),
      },
      closed,
    ),
    metrics: Type.Array(Type.String()),
    retention: Type.Object({ updates: Type.String() }, closed),
    publish: Type.Boolean(),
    /** Held-out data: a safetensors blob with one tensor per input (leading N) and `labels`. Null: only what devices report. */
    evaluation: Nullable(Type.Object({ set: Sha256Text }, closed)),
    allow_rolled_back_base: Type.Optional(Type.Object({ reason: Type.String({ minLength: 1 }) }, closed)),
  },
  closed,
);
export type TrainingSpec = Static<typeof TrainingSpec>;

const round = { round: Type.Integer({ minimum: 1 }), attempt: Type.Integer({ minimum: 1 }) };

export const trainingFacts = {
  TrainingRequested: fact('TrainingRequested', {
    source: Type.Union([Type.Literal('own'), Type.Literal('session'), Type.Literal('aggregate')]),
    spec: TrainingSpec,
    spec_sha: Sha256Text,
    /** SHA-256 of the request before defaults and drawing: the same request again is the same run. */
    request_sha: Sha256Text,
    base: Type.Object({ version: Nullable(SemverText), sha: Sha256Text }, closed),
  }),
  RoundOpened: fact('RoundOpened', {
    ...round,
    base_sha: Sha256Text,
    base_label: Type.String(),
    opt_state_sha: Nullable(Sha256Text),
    goal: Nullable(Count),
    min_updates: Count,
    need: Count,
    draw: Type.Object({ threshold: Count, population: Count }, closed),
    opened_at: Instant,
    deadline: Instant,
    hard_deadline: Instant,
    max_norm: Nullable(Type.Number()),
    limit: Type.Number(),
  }),
  RoundClosed: fact('RoundClosed', {
    ...round,
    cause: Type.Union([
      Type.Literal('goal'),
      Type.Literal('deadline'),
      Type.Literal('late_quorum'),
      Type.Literal('manual'),
    ]),
    accepted: Count,
    counted: Count,
    weight_sum: Count,
    participants: Count,
    accepted_root: Sha256Text,
    refused: Counts,
    leased: Count,
    aborted: Count,
    bytes_up: Count,
  }),
  RoundAggregated: fact('RoundAggregated', {
    ...round,
    manifest_sha: Sha256Text,
    model_sha: Sha256Text,
    model_bytes: Count,
    opt_state_sha: Nullable(Sha256Text),
    grid: Type.Object({ k: Type.Integer(), L: Type.Number(), q: Type.Integer() }, closed),
    update_norm: Type.Number(),
    samples: Count,
    metrics: Figures,
  }),
  RoundEvaluated: fact('RoundEvaluated', {
    ...round,
    source: Type.Literal('held_out'),
    set_sha: Sha256Text,
    n: Count,
    loss: Nullable(Type.Number()),
    accuracy: Nullable(Type.Number()),
    finite: Type.Boolean(),
  }),
  RoundAbandoned: fact('RoundAbandoned', {
    ...round,
    reason: Type.Union([
      Type.Literal('quorum_miss'),
      Type.Literal('stopped'),
      Type.Literal('aborted'),
      Type.Literal('non_finite'),
      Type.Literal('checksum_mismatch'),
    ]),
    counted: Count,
    needed: Count,
  }),
  TrainingPaused: fact('TrainingPaused', {
    reason: Type.String(),
    by: Type.String(),
    /** A step failed the same way each time: unlike after a person's pause, the open round is not ended either. */
    code: Type.Optional(Type.Literal('internal_fault')),
  }),
  TrainingResumed: fact('TrainingResumed', { reason: Nullable(Type.String()), by: Type.String() }),
  TrainingStopped: fact('TrainingStopped', {
    rule: Type.Union([Type.Literal('rounds'), Type.Literal('manual')]),
    round: Count,
    numbers: Type.Record(Type.String(), Type.Number()),
    selected_round: Count,
  }),
  TrainingSucceeded: fact('TrainingSucceeded', { selected_round: Count, model_sha: Sha256Text }),
  TrainingAborted: fact('TrainingAborted', { reason: Type.String() }),
};
export type TrainingFact = FactOf<typeof trainingFacts>;
export type RoundOpenedData = Extract<TrainingFact, { type: 'RoundOpened' }>['data'];
export type RoundClosedData = Extract<TrainingFact, { type: 'RoundClosed' }>['data'];
