/** A round as its row keeps it, and the row as Postgres gives it. */
import type { ModelId } from '../../domain/brands.ts';
import type { TrainingSpec } from '../../domain/events/training.ts';
import { asOrgId, type OrgId } from '../../domain/org.ts';

/** Members of the run's spec that devices and admission need, so that neither folds the run's stream. */
export type RoundPlan = Pick<TrainingSpec, 'client' | 'seed' | 'admission' | 'aggregation' | 'metrics'>;

/** What opening writes. Times are RFC 3339, of the store's clock, as in RoundOpened. */
export interface NewRound {
  readonly roundId: string;
  readonly runId: string;
  readonly orgId: OrgId;
  readonly modelId: ModelId;
  readonly round: number;
  readonly attempt: number;
  readonly baseSha: string;
  readonly baseLabel: string;
  /** Null: only deadline or hand closes it. */
  readonly goal: number | null;
  readonly minUpdates: number;
  readonly room: number;
  readonly maxNorm: number | null;
  readonly gridLimit: number;
  readonly plan: RoundPlan;
  readonly openedAt: string;
  readonly deadline: string;
  readonly hardDeadline: string;
}

export interface RoundRow extends NewRound {
  readonly state: 'open' | 'closed' | 'abandoned';
  readonly cause: string | null;
  readonly leased: number;
  readonly aborted: number;
  readonly accepted: number;
  readonly counted: number;
  readonly weightSum: number;
  readonly bytesUp: number;
}

/** Columns of `ops.training_round` as `to_jsonb` gives them: numbers, and times as text. */
export interface RawRound extends Record<string, unknown> {
  round_id: string;
  run_id: string;
  org_id: string;
  model_id: string;
  round: number;
  attempt: number;
  base_sha: string;
  base_label: string;
  goal: number | null;
  min_updates: number;
  room: number;
  max_norm: number | null;
  grid_limit: number;
  plan: RoundPlan;
  opened_at: string;
  deadline: string;
  hard_deadline: string;
  state: RoundRow['state'];
  cause: string | null;
  leased: number;
  aborted: number;
  accepted: number;
  counted: number;
  weight_sum: number;
  bytes_up: number;
}

const instant = (text: string) => new Date(text).toISOString();

export function roundOf(raw: RawRound): RoundRow {
  return {
    roundId: raw.round_id,
    runId: raw.run_id,
    orgId: asOrgId(raw.org_id),
    modelId: raw.model_id,
    round: raw.round,
    attempt: raw.attempt,
    baseSha: raw.base_sha,
    baseLabel: raw.base_label,
    goal: raw.goal,
    minUpdates: raw.min_updates,
    room: raw.room,
    maxNorm: raw.max_norm,
    gridLimit: raw.grid_limit,
    plan: raw.plan,
    openedAt: instant(raw.opened_at),
    deadline: instant(raw.deadline),
    hardDeadline: instant(raw.hard_deadline),
    state: raw.state,
    cause: raw.cause,
    leased: raw.leased,
    aborted: raw.aborted,
    accepted: raw.accepted,
    counted: raw.counted,
    weightSum: raw.weight_sum,
    bytesUp: raw.bytes_up,
  };
}

export const roundIdOf = (runId: string, round: number, attempt: number) => `${runId}.${round}.${attempt}`;
