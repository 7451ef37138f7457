/** What TrainingCompleted says of the rounds before it. */
import { describe, expect, it } from 'vitest';
import { given, RUN, sha, training as f } from '../machines/facts.fixture.ts';
import { trainingMachine } from '../machines/trainingRun.ts';
import { trainingSummary } from './trainingSummary.ts';

const one = [f.opened(), f.closed(), f.aggregated()];

describe('trainingSummary', () => {
  it('adds rounds up, and prefers held-out figures to those that devices reported', () => {
    const facts = [f.requested, ...one, f.evaluated(), f.opened(2), f.closed(2), f.aggregated(2), f.stopped];
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
      first: { loss: 0.5, accuracy: 0.85 },
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
