/** Pure. `training`: which runs there are and how they end; the facts of rounds go to an insert-only table. */
import { tagged } from '../../domain/events/codec.ts';
import type { SequencedEvent } from '../../domain/events/envelope.ts';
import { parseStream } from '../../domain/events/streams.ts';
import type { TrainingFact } from '../../domain/events/training.ts';
import { learnOrg, modelOrgs, needOrg, needsOfLearning, orgOfModel, subjectAmong } from '../modelOrgs.ts';
import { add, need, put, type Change, type Projection, type Rows } from '../table.ts';
import { rounds, runs, type RoundFact, type RunRow } from './schema.ts';

type Requested = Extract<TrainingFact, { type: 'TrainingRequested' }>['data'];

const requested = (runId: string, orgId: string, data: Requested, at: string): RunRow => ({
  run_id: runId,
  org_id: orgId,
  model_id: data.spec.model_id,
  version: data.spec.new_version,
  status: 'active',
  source: data.source,
  rounds_planned: data.spec.rounds,
  spec: data.spec,
  spec_sha: data.spec_sha,
  base: data.base,
  paused: null,
  stopped: null,
  ended: null,
  created_at: at,
  updated_at: at,
  stream_version: 1,
});

const isOfRound = (fact: TrainingFact): fact is RoundFact => 'round' in fact.data && 'attempt' in fact.data;

/** The members that a fact changes; undefined for facts of rounds, which leave the row as it is. */
function members(fact: TrainingFact, at: string): Partial<RunRow> | undefined {
  switch (fact.type) {
    case 'TrainingRequested':
      return {};
    case 'TrainingPaused':
      return { status: 'paused', paused: { reason: fact.data.reason, by: fact.data.by, at } };
    case 'TrainingResumed':
      return { status: 'active', paused: null };
    case 'TrainingStopped':
      return { status: 'ending', stopped: { rule: fact.data.rule, selected_round: fact.data.selected_round } };
    case 'TrainingSucceeded':
      return { status: 'succeeded', ended: { kind: 'succeeded', reason: null, at } };
    case 'TrainingAborted':
      return { status: 'aborted', ended: { kind: 'aborted', reason: fact.data.reason, at } };
    case 'RoundOpened':
    case 'RoundClosed':
    case 'RoundAggregated':
    case 'RoundEvaluated':
    case 'RoundAbandoned':
      return undefined;
    default:
      return fact satisfies never;
  }
}

const begun = (rows: Rows, runId: string, data: Requested, at: string) =>
  requested(runId, orgOfModel(rows, data.spec.model_id), data, at);

function project(event: SequencedEvent, rows: Rows): Change[] {
  const of = tagged(event);
  if (of?.kind !== 'training') return learnOrg(event);
  const { runId, fact } = of;
  const at = event.recordedAt;
  if (isOfRound(fact)) {
    const { round, attempt } = fact.data;
    const { type, data } = fact;
    return [add(rounds, { run_id: runId, round, attempt, type, data, stream_version: event.version, at })];
  }
  const changed = members(fact, at);
  if (!changed) return [];
  const before = rows.get(runs, runId);
  const row = before ?? (fact.type === 'TrainingRequested' ? begun(rows, runId, fact.data, at) : undefined);
  if (!row) throw new Error(`training run ${runId} was never requested`);
  return [put(runs, { ...row, ...changed, updated_at: at, stream_version: event.version })];
}

export const training: Projection = {
  name: 'training',
  version: 4,
  tables: [runs, rounds, modelOrgs],
  needs(event) {
    const stream = parseStream(event.stream);
    if (stream?.kind !== 'training') return needsOfLearning(event);
    const row = need(runs, stream.runId);
    return event.fact.type === 'TrainingRequested' ? [row, needOrg(event.fact.data.spec.model_id)] : [row];
  },
  project,
  subjectOf: (about) => subjectAmong('training', about),
};
