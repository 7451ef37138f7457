/** A training run and its rounds as the Lifecycle API shows them. */
import type { StoredEventOf } from '../../../domain/events/envelope.ts';
import type { TrainingFact } from '../../../domain/events/training.ts';
import type { Existing } from '../../../machines/fold.ts';
import { roundState, runStatus, type AggregatedRound, type TrainingState } from '../../../machines/trainingRun.ts';
import type { Round, Training } from '../../../wire/training.ts';
import { instant } from '../../instant.ts';

const heldOut = (evaluated: { loss: number | null; accuracy: number | null; n: number } | null) =>
  evaluated && { loss: evaluated.loss, accuracy: evaluated.accuracy, n: evaluated.n };

/** @param accepted updates that the open round has by now, from its row; 0 where there is none */
export function trainingView(runId: string, folded: Existing<TrainingState>, accepted: number): Training {
  const { context } = folded;
  const spec = context.spec!; // a run that exists has been requested, and the request carries the spec
  const last = context.rounds.at(-1);
  return {
    run_id: runId,
    model_id: spec.model_id,
    version: spec.new_version,
    status: runStatus(folded.state),
    round: context.current?.round ?? Math.min(context.rounds.length + 1, spec.rounds),
    attempt: context.current?.attempt ?? context.attempts,
    round_state: roundState(folded.state),
    rounds_planned: spec.rounds,
    rounds_done: context.rounds.length,
    updates: context.rounds.reduce((sum, r) => sum + r.closed.accepted, 0),
    spec,
    base: { ...context.base },
    current: context.current && {
      goal: context.current.goal,
      min_updates: context.current.min_updates,
      accepted: context.currentClosed?.accepted ?? accepted,
      deadline: context.current.deadline,
    },
    last: last ? lastRound(last) : null,
    paused: context.paused && !context.ended ? { ...context.paused, at: instant(context.paused.at) } : null,
    ended: context.ended && { ...context.ended, at: instant(context.ended.at) },
    created_at: instant(context.requestedAt),
    updated_at: instant(context.updatedAt),
    stream_version: folded.version,
  };
}

const lastRound = ({ round, aggregated, evaluated }: AggregatedRound): Training['last'] => ({
  round,
  loss: aggregated.metrics.loss,
  accuracy: aggregated.metrics.accuracy,
  held_out: heldOut(evaluated),
});

/** Every attempt of every round, in order, from the run's facts. */
export function roundViews(
  events: readonly StoredEventOf<'training'>[],
  acceptedOf: (roundKey: string) => number,
): Round[] {
  const rounds = new Map<string, Round>();
  for (const { fact, recordedAt } of events) {
    if (!('round' in fact.data) || !('attempt' in fact.data)) continue;
    const key = `${fact.data.round}.${fact.data.attempt}`;
    const before = rounds.get(key) ?? emptyRound(fact.data.round, fact.data.attempt, recordedAt);
    rounds.set(key, { ...before, ...changeOf(fact, acceptedOf(key)), at: recordedAt });
  }
  return [...rounds.values()];
}

const emptyRound = (round: number, attempt: number, at: string): Round => ({
  round,
  attempt,
  state: 'collecting',
  accepted: 0,
  counted: 0,
  samples: null,
  loss: null,
  accuracy: null,
  held_out: null,
  model_sha: null,
  accepted_root: null,
  update_norm: null,
  refused: {},
  reason: null,
  at,
});

function changeOf(fact: TrainingFact, accepted: number): Partial<Round> {
  switch (fact.type) {
    case 'RoundOpened':
      return { accepted };
    case 'RoundClosed': {
      const { accepted_root, refused, counted } = fact.data;
      return { state: 'closed', accepted: fact.data.accepted, counted, accepted_root, refused };
    }
    case 'RoundAggregated': {
      const { model_sha, update_norm, samples, metrics } = fact.data;
      return { state: 'aggregated', model_sha, update_norm, samples, loss: metrics.loss, accuracy: metrics.accuracy };
    }
    case 'RoundEvaluated':
      return { held_out: heldOut(fact.data) };
    case 'RoundAbandoned':
      return { state: 'abandoned', counted: fact.data.counted, reason: fact.data.reason };
    default:
      return {};
  }
}
