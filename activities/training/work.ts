/** The entry of this room: what Temporal activities call, without Temporal. */
export { aggregateUpdates, type AggregatedRound, type RoundToAggregate } from './aggregateRound.ts';
export { evaluate, type Evaluation } from './evaluate.ts';
