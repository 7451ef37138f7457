/** What TrainingCompleted says of the rounds before it. */
import { describe, expect, it } from 'vitest';
import { aggregated, given, requested, RUN, sha, training as f, trainingSpec } from '../machines/facts.fixture.ts';
import { trainingMachine } from '../machines/trainingRun.ts';
import { trainingSummary } from './trainingSummary.ts';

const one = [f.opened(), f.closed(), f.aggregated()];
const two = [f.opened(2), f.closed(2), f.aggregated(2)];
const heldOut = { ...f.requested, data: { ...requested, spec: { ...trainingSpec, evaluation: { set: sha('5') } } } };

describe('trainingSummary', () => {
  it('adds rounds up, with the figures that devices reported', () => {
    const facts = [f.requested, ...one, ...two, f.stopped];
    const { context } = given(trainingMachine, facts);
    expect(trainingSummary(RUN, context, context.stopped, 5)).toMatchObject({
      rounds: 2,
      rounds_planned: 2,
      rounds_abandoned: 0,
      participants: 5,
      updates: 6,
      samples: 60,
      refused: { non_finite: 2 },
      bytes_up: 864,
      first: { loss: 0.6, accuracy: 0.8 },
      loss: 0.6,
      accuracy: 0.8,
      best_round: 1,
      selected_round: 2,
      stop: { rule: 'manual' },
      artifact_sha: sha('e'),
      artifact_bytes: 144,
      chain: [
        { round: 1, accepted_root: sha('3'), model_sha: sha('e') },
        { round: 2, accepted_root: sha('3'), model_sha: sha('e') },
      ],
    });
  });

  it('gives held-out figures alone where the spec asks for them, and none for a round that was not evaluated', () => {
    const claimed = { type: 'RoundAggregated', data: { ...aggregated(2), metrics: { loss: 0.1, accuracy: 1, n: 30 } } };
    const halfway = [heldOut, ...one, f.evaluated(), f.opened(2), f.closed(2), claimed];
    const stopped = given(trainingMachine, [...halfway, f.stopped]).context;
    expect(trainingSummary(RUN, stopped, stopped.stopped, 5)).toMatchObject({
      first: { loss: 0.5, accuracy: 0.85 },
      loss: null,
      accuracy: null,
      best_round: 1,
      selected_round: 2,
    });
    const { context } = given(trainingMachine, [...halfway, f.evaluated(2)]);
    expect(trainingSummary(RUN, context, null, 5)).toMatchObject({ loss: 0.5, accuracy: 0.85, best_round: 1 });
  });

  it('past 200 rounds keeps the tree hash of the chain, so that the fact stays small', () => {
    const { context } = given(trainingMachine, [f.requested, ...one]);
    const round = context.rounds[0]!;
    const long = { ...context, rounds: Array.from({ length: 201 }, () => round) };
    const { chain } = trainingSummary(RUN, long, null, 0);
    expect(chain).toEqual({ length: 201, root: expect.stringMatching(/^[0-9a-f]{64}$/) });
    const swapped = [...long.rounds.slice(1), { ...round, aggregated: { ...round.aggregated, model_sha: sha('9') } }];
    expect(trainingSummary(RUN, { ...long, rounds: swapped }, null, 0).chain).not.toEqual(chain);
  });

  it('without figures names no best round', () => {
    const bare = {
      type: 'RoundAggregated',
      data: { ...f.aggregated().data, metrics: { loss: null, accuracy: null, n: 0 } },
    };
    const { context } = given(trainingMachine, [f.requested, f.opened(), f.closed(), bare]);
    expect(trainingSummary(RUN, context, null, 0)).toMatchObject({ best_round: null, loss: null, accuracy: null });
  });
});
