/** Tables of `rollouts`: one row per rollout and state of it, one row per judgement. */
import type { HealthJudgement, PauseCause, RolloutFact, RolloutSpec } from '../../domain/events/rollout.ts';
import type { RolloutStateName } from '../../domain/states.ts';
import type { Hold } from '../../domain/rollout/holding.ts';
import { factsTable, historyTable } from '../table.ts';

type DataOf<T extends RolloutFact['type']> = Extract<RolloutFact, { type: T }>['data'];

export interface RolloutRow {
  rollout_id: number;
  org_id: string;
  model_id: string;
  version: string;
  /** Names the version among those of all models. */
  version_stream: string;
  previous_version: string | null;
  /** As the rollout's machine names it: `Active`. */
  state: RolloutStateName;
  spec: RolloutSpec;
  spec_sha: string;
  seed: string | null;
  lo: number;
  /** -1 before the first stage. */
  stage: number;
  entered: DataOf<'StageEntered'> | null;
  entered_at: string | null;
  /** Stage clock: milliseconds run before `clock_since`; null there means that it stands. */
  clock_ms: number;
  clock_since: string | null;
  clock_stood: string | null;
  /** How often the stage began anew. */
  evidence_stage: number;
  /** What holds it; also while it is paused. */
  hold: Hold | null;
  is_regressed: boolean;
  paused: { readonly cause: PauseCause; readonly reason: string; readonly at: string } | null;
  aborted: { readonly reason: string; readonly at: string } | null;
  rolled_back: (Omit<DataOf<'RolloutRolledBack'>, 'evidence'> & { readonly at: string }) | null;
  created_at: string;
  started_at: string | null;
  completed_at: string | null;
  updated_at: string;
  stream_version: number;
}

export interface JudgementRow {
  rollout_id: number;
  stage: number;
  look: number;
  verdict: string;
  judgement: HealthJudgement;
  stream_version: number;
  at: string;
}

export const rolloutRows = historyTable<RolloutRow>('rollouts', {
  key: ['rollout_id'],
  columns: {
    rollout_id: 'bigint',
    org_id: 'text',
    model_id: 'text',
    version: 'text',
    version_stream: 'text',
    previous_version: 'text',
    state: 'text',
    spec: 'jsonb',
    spec_sha: 'text',
    seed: 'text',
    lo: 'bigint',
    stage: 'bigint',
    entered: 'jsonb',
    entered_at: 'text',
    clock_ms: 'bigint',
    clock_since: 'text',
    clock_stood: 'text',
    evidence_stage: 'bigint',
    hold: 'text',
    is_regressed: 'boolean',
    paused: 'jsonb',
    aborted: 'jsonb',
    rolled_back: 'jsonb',
    created_at: 'text',
    started_at: 'text',
    completed_at: 'text',
    updated_at: 'text',
    stream_version: 'bigint',
  },
  current: [
    ['org_id', 'rollout_id'],
    ['org_id', 'state', 'rollout_id'],
    ['org_id', 'version', 'rollout_id'],
    ['model_id', 'rollout_id'],
    ['model_id', 'state', 'rollout_id'],
    ['version_stream', 'rollout_id'],
  ],
});

export const judgements = factsTable<JudgementRow>('judgements', {
  columns: {
    rollout_id: 'bigint',
    stage: 'bigint',
    look: 'bigint',
    verdict: 'text',
    judgement: 'jsonb',
    stream_version: 'bigint',
    at: 'text',
  },
  indexes: [['rollout_id']],
});
