/** Parts of paths. */
import Type from 'typebox';
import { closed, Line, ModelRef, VersionRef } from '../../../wire/common.ts';

export const ModelParams = Type.Object({ model: ModelRef }, closed);
export const VersionParams = Type.Object({ model: ModelRef, version: VersionRef }, closed);
export const RolloutParams = Type.Object(
  { rollout: Type.Integer({ minimum: 1, maximum: 999_999_999_999_999 }) },
  closed,
);
export const RunParams = Type.Object({ run: Line(64, 1) }, closed);
export const TaskParams = Type.Object({ task: Line(64, 1) }, closed);
