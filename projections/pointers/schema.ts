/** Tables of `pointers`: the document of each model, and the memory of its fold (`domain/rollout/pointerMemory.ts`). */
import type { Pointer } from '../../domain/rollout/pointer.ts';
import type { RolloutOf } from '../../domain/rollout/pointerMemory.ts';
import { historyTable } from '../table.ts';

export interface PointerRow {
  model_id: string;
  /** Log index of the newest fact that changed it. */
  epoch: number;
  pointer: Pointer;
}

export interface RolloutOfRow extends RolloutOf {
  rollout_id: number;
  /** By a rollback or an abort: it moves no pointer any more. */
  has_ended: boolean;
}

export const pointerRows = historyTable<PointerRow>('pointers', {
  key: ['model_id'],
  columns: { model_id: 'text', epoch: 'bigint', pointer: 'jsonb' },
});

export const rolloutsOf = historyTable<RolloutOfRow>('rollouts_of', {
  key: ['rollout_id'],
  columns: { rollout_id: 'bigint', model_id: 'text', version: 'text', has_ended: 'boolean' },
  indexes: [['model_id']],
});

/** Versions that were rolled back. */
export const marks = historyTable<RolloutOf>('marks', {
  key: ['model_id', 'version'],
  columns: { model_id: 'text', version: 'text' },
});
