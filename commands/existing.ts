/** Streams that a command names and that must exist: input that names nothing is an error, not a refusal. */
import type { ModelId, Semver } from '../domain/brands.ts';
import { LifecycleError } from '../domain/errors.ts';
import type { ModelState } from '../machines/model.ts';
import type { VersionState } from '../machines/modelVersion.ts';
import type { RolloutState } from '../machines/rollout.ts';
import type { TrainingState } from '../machines/trainingRun.ts';
import type { Streams } from './execute.ts';

/** @throws LifecycleError `model_not_found` */
export async function requireModel(streams: Streams, modelId: ModelId): Promise<ModelState> {
  const model = await streams.model(modelId);
  if (model.version === 0) throw new LifecycleError('model_not_found', `There is no model ${modelId}.`);
  return model;
}

/** @throws LifecycleError `version_not_found` */
export async function requireVersion(streams: Streams, modelId: ModelId, version: Semver): Promise<VersionState> {
  const state = await streams.version(modelId, version);
  if (state.version === 0) {
    throw new LifecycleError('version_not_found', `Model ${modelId} has no version ${version}.`);
  }
  return state;
}

/** @throws LifecycleError `training_not_found` */
export async function requireRun(streams: Streams, runId: string): Promise<TrainingState> {
  const run = await streams.training(runId);
  if (run.version === 0) throw new LifecycleError('training_not_found', `There is no training run ${runId}.`);
  return run;
}

/** @throws LifecycleError `rollout_not_found` */
export async function requireRollout(streams: Streams, rolloutId: number): Promise<RolloutState> {
  const rollout = await streams.rollout(rolloutId);
  if (rollout.version === 0) throw new LifecycleError('rollout_not_found', `There is no rollout ${rolloutId}.`);
  return rollout;
}
