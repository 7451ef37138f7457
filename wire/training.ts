/** Training runs, their rounds, and the requests of people; devices are in `task.ts`. */
import Type, { type Static } from 'typebox';
import { TrainingSpec } from '../domain/events/training.ts';
import { trainRequestSchema } from '../domain/learning/index.ts';
import { ROUND_STATES, RUN_STATUSES } from '../domain/states.ts';
import {
  closed,
  commanded,
  Count,
  Duration,
  Instant,
  Nullable,
  pageOf,
  Reason,
  Sha256Text,
  Uuid,
  wordOf,
} from './common.ts';

const Figure = Nullable(Type.Number());

/** OpenAPI 3.1 has no `items` list, which the library's tuple still writes. */
const OnQuorumMiss = Type.Object(
  {
    ...TrainingSpec.properties.on_quorum_miss.properties,
    backoff: Type.Array(Duration, { minItems: 2, maxItems: 2 }),
  },
  closed,
);
const Spec = Type.Object({ ...TrainingSpec.properties, on_quorum_miss: OnQuorumMiss }, closed);

const RunStatus = wordOf(RUN_STATUSES);

export const Training = Type.Object(
  {
    run_id: Type.String(),
    model_id: Uuid,
    version: Type.String(),
    status: RunStatus,
    /** The round that is open, or the next one. */
    round: Count,
    attempt: Count,
    round_state: wordOf(ROUND_STATES),
    rounds_planned: Count,
    rounds_done: Count,
    /** Accepted updates of the aggregated rounds. */
    updates: Count,
    spec: Spec,
    base: Type.Object({ version: Nullable(Type.String()), sha: Sha256Text }, closed),
    current: Nullable(
      Type.Object({ goal: Nullable(Count), min_updates: Count, accepted: Count, deadline: Instant }, closed),
    ),
    last: Nullable(
      Type.Object(
        {
          round: Count,
          loss: Figure,
          accuracy: Figure,
          held_out: Nullable(Type.Object({ loss: Figure, accuracy: Figure, n: Count }, closed)),
        },
        closed,
      ),
    ),
    paused: Nullable(
      Type.Object(
        {
          reason: Type.String(),
          by: Type.String(),
          at: Instant,
          /** A step failed the same way each time: nothing is tried before a person resumes the run. */
          code: Type.Optional(Type.Literal('internal_fault')),
        },
        closed,
      ),
    ),
    ended: Nullable(
      Type.Object(
        {
          kind: Type.Union([Type.Literal('succeeded'), Type.Literal('aborted')]),
          reason: Nullable(Type.String()),
          at: Instant,
        },
        closed,
      ),
    ),
    created_at: Instant,
    updated_at: Instant,
    stream_version: Count,
  },
  closed,
);
export type Training = Static<typeof Training>;

export const TrainingCommanded = commanded(Training);
export type TrainingCommanded = Static<typeof TrainingCommanded>;

/** A row of the read model. */
export const TrainingSummary = Type.Object(
  {
    run_id: Type.String(),
    model_id: Uuid,
    version: Type.String(),
    status: RunStatus,
    rounds_planned: Count,
    rounds_done: Count,
    created_at: Instant,
    updated_at: Instant,
  },
  closed,
);
export type TrainingSummary = Static<typeof TrainingSummary>;
export const TrainingPage = pageOf(TrainingSummary);
export type TrainingPage = Static<typeof TrainingPage>;

export const Round = Type.Object(
  {
    round: Count,
    attempt: Count,
    state: Type.Union([
      Type.Literal('collecting'),
      Type.Literal('closed'),
      Type.Literal('aggregated'),
      Type.Literal('abandoned'),
    ]),
    accepted: Count,
    counted: Count,
    samples: Nullable(Count),
    loss: Figure,
    accuracy: Figure,
    held_out: Nullable(Type.Object({ loss: Figure, accuracy: Figure, n: Count }, closed)),
    model_sha: Nullable(Sha256Text),
    accepted_root: Nullable(Sha256Text),
    update_norm: Nullable(Type.Number()),
    /** Why updates were refused, and how many each. */
    refused: Type.Record(Type.String(), Count),
    /** Why it was abandoned; null otherwise. */
    reason: Nullable(Type.String()),
    at: Instant,
  },
  closed,
);
export type Round = Static<typeof Round>;

export const Rounds = pageOf(Round);
export type Rounds = Static<typeof Rounds>;

/** docs/design/learning.md "The spec of a run": what is left out takes its default. The model stands in the path. */
export const TrainRequest = trainRequestSchema;

/** Body of pause and abort: both need a reason. */
export const WithReason = Type.Object({ reason: Reason }, closed);
export type WithReason = Static<typeof WithReason>;
/** Body of resume and start. */
export const MaybeReason = Type.Object({ reason: Type.Optional(Reason) }, closed);
export type MaybeReason = Static<typeof MaybeReason>;
