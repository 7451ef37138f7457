/** Tables of `training`: one row per run and state of it, one row per fact of a round. */
import type { TrainingFact, TrainingSpec } from '../../domain/events/training.ts';
import type { RunStatus } from '../../domain/states.ts';
import { factsTable, historyTable } from '../table.ts';

export interface RunRow {
  run_id: string;
  org_id: string;
  model_id: string;
  version: string;
  status: RunStatus;
  source: string;
  rounds_planned: number;
  spec: TrainingSpec;
  spec_sha: string;
  base: { readonly version: string | null; readonly sha: string };
  paused: { readonly reason: string; readonly by: string; readonly at: string } | null;
  stopped: { readonly rule: string; readonly selected_round: number } | null;
  ended: { readonly kind: 'succeeded' | 'aborted'; readonly reason: string | null; readonly at: string } | null;
  created_at: string;
  updated_at: string;
  stream_version: number;
}

export type RoundFact = Extract<
  TrainingFact,
  { type: 'RoundOpened' | 'RoundClosed' | 'RoundAggregated' | 'RoundEvaluated' | 'RoundAbandoned' }
>;

export interface RoundRow {
  run_id: string;
  round: number;
  attempt: number;
  type: RoundFact['type'];
  data: RoundFact['data'];
  stream_version: number;
  at: string;
}

export const runs = historyTable<RunRow>('runs', {
  key: ['run_id'],
  columns: {
    run_id: 'text',
    org_id: 'text',
    model_id: 'text',
    version: 'text',
    status: 'text',
    source: 'text',
    rounds_planned: 'bigint',
    spec: 'jsonb',
    spec_sha: 'text',
    base: 'jsonb',
    paused: 'jsonb',
    stopped: 'jsonb',
    ended: 'jsonb',
    created_at: 'text',
    updated_at: 'text',
    stream_version: 'bigint',
  },
  current: [
    ['org_id', 'created_at', 'run_id'],
    ['org_id', 'status', 'created_at', 'run_id'],
    ['model_id', 'created_at', 'run_id'],
    ['model_id', 'status', 'created_at', 'run_id'],
  ],
});

export const rounds = factsTable<RoundRow>('rounds', {
  columns: {
    run_id: 'text',
    round: 'bigint',
    attempt: 'bigint',
    type: 'text',
    data: 'jsonb',
    stream_version: 'bigint',
    at: 'text',
  },
  indexes: [['run_id'], ['run_id', 'type']],
});
