/** Tables of `pointers`: the pointer document of each model, and which model a rollout belongs to. */
import type { Pointer } from '../../domain/rollout/pointer.ts';
import { historyTable } from '../table.ts';

export interface PointerRow {
  model_id: string;
  /** Log index of the newest fact that changed it. */
  epoch: number;
  pointer: Pointer;
}

/** Only RolloutCreated names the model. */
export interface RolloutModelRow {
  rollout_id: number;
  model_id: string;
}

export const pointerRows = historyTable<PointerRow>('pointers', {
  key: ['model_id'],
  columns: { model_id: 'text', epoch: 'bigint', pointer: 'jsonb' },
});

export const rolloutModels = historyTable<RolloutModelRow>('rollout_models', {
  key: ['rollout_id'],
  columns: { rollout_id: 'bigint', model_id: 'text' },
});
