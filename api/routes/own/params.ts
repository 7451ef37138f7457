/** Parts of paths. */
import Type from 'typebox';
import { closed, Sha256 } from '../../schemas/common.ts';

/** Id, or name in any case. */
const Model = Type.String({ minLength: 1, maxLength: 200 });
const Version = Type.String({ minLength: 1, maxLength: 64 });

export const ModelParams = Type.Object({ model: Model }, closed);
export const VersionParams = Type.Object({ model: Model, version: Version }, closed);
export const RolloutParams = Type.Object(
  { rollout: Type.Integer({ minimum: 1, maximum: 999_999_999_999_999 }) },
  closed,
);
export const RunParams = Type.Object({ run: Type.String({ minLength: 1, maxLength: 64 }) }, closed);
export const TaskParams = Type.Object({ task: Type.String({ minLength: 1, maxLength: 64 }) }, closed);
export const BlobParams = Type.Object({ sha256: Sha256 }, closed);
