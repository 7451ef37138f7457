/** Tables of `activity`: one row per fact, and which model and organisation a run or rollout belongs to. */
import { factsTable, historyTable } from '../table.ts';

export interface ActivityRow {
  event_id: string;
  kind: string;
  type: string;
  stream: string;
  stream_version: number;
  org_id: string;
  model_id: string;
  actor_kind: string;
  actor_id: string;
  command_id: string;
  recorded_at: string;
}

/** Runs and rollouts name their model in their first fact only. */
export interface OwnerRow {
  stream: string;
  org_id: string;
  model_id: string;
}

export const activityRows = factsTable<ActivityRow>('activity', {
  columns: {
    event_id: 'text',
    kind: 'text',
    type: 'text',
    stream: 'text',
    stream_version: 'bigint',
    org_id: 'text',
    model_id: 'text',
    actor_kind: 'text',
    actor_id: 'text',
    command_id: 'text',
    recorded_at: 'text',
  },
  indexes: [['org_id'], ['org_id', 'kind'], ['org_id', 'type'], ['model_id'], ['actor_id'], ['stream']],
});

export const owners = historyTable<OwnerRow>('owners', {
  key: ['stream'],
  columns: { stream: 'text', org_id: 'text', model_id: 'text' },
});
