/** The weights a run starts from. */
import type { ModelId, Semver } from '../domain/brands.ts';
import { buffer } from 'node:stream/consumers';
import { LifecycleError } from '../domain/errors.ts';
import { planMlp } from '../domain/formats/architecture.ts';
import { evaluationLayout, labelValues } from '../domain/formats/evaluationSet.ts';
import { isRefusal } from '../domain/refusal.ts';
import { checkTrainableBase, type TrainingRequest } from '../domain/learning/index.ts';
import { isHigher } from '../domain/semver.ts';
import type { ModelState } from '../machines/model.ts';
import { baseLayout } from './baseTensors.ts';
import { blobHeader, faultOf } from './blobHeader.ts';
import type { CommandDeps } from './context.ts';
import type { Streams } from './execute.ts';
import { requireGranted } from './ownership.ts';
import { requireVersion } from './existing.ts';
import { usableBelow } from './usableBelow.ts';

export interface TrainingBase {
  readonly version: Semver | null;
  readonly sha: string;
}

/**
 * The version named, else the latest usable one below the new version, else `init_artifact` (only while the model has no published
 * version). No base is above the version it makes.
 *
 * @throws LifecycleError `version_not_found`; `blob_unknown`; `invalid_input`; `dtype_mismatch`, `malformed_container` for
 *   weights that cannot be trained
 */
export async function trainingBase(
  deps: CommandDeps,
  streams: Streams,
  modelId: ModelId,
  model: ModelState,
  request: TrainingRequest,
): Promise<TrainingBase> {
  const base = await chooseBase(streams, modelId, model, request);
  const what = `Base ${base.sha}`;
  const pointer = request.init_artifact === null ? '/base_version' : '/init_artifact';
  await requireGranted(deps, modelId, base.sha, what, pointer);
  const { tensors } = await baseLayout(deps.blobs, base.sha, pointer);
  const untrainable = checkTrainableBase(tensors);
  if (untrainable) throw faultOf(untrainable, what, pointer);
  const { architecture } = model.context;
  const plan = architecture ? planMlp(architecture, tensors) : undefined;
  if (plan && isRefusal(plan)) throw faultOf(plan, what, pointer);
  return base;
}

/**
 * Refuses held-out data that the model cannot be run on, before any device works for the run.
 *
 * @throws LifecycleError `blob_unknown`, `malformed_container`, `graph_required`, `shape_mismatch`, `dtype_mismatch`, …
 */
export async function checkEvaluation(
  deps: CommandDeps,
  modelId: ModelId,
  model: ModelState,
  { evaluation }: TrainingRequest,
): Promise<void> {
  if (!evaluation) return;
  const what = `Evaluation set ${evaluation.set}`;
  const pointer = '/evaluation/set';
  await requireGranted(deps, modelId, evaluation.set, what, pointer);
  const { header } = await blobHeader(deps.blobs, evaluation.set, what, pointer);
  const { architecture } = model.context;
  const layout = evaluationLayout(header, architecture);
  if (isRefusal(layout)) throw faultOf(layout, what, pointer);
  const { begin, end } = layout.labels;
  const range = { start: header.dataStart + begin, end: header.dataStart + end - 1 };
  const labels = labelValues(layout, new Uint8Array(await buffer(await deps.blobs.get(evaluation.set, range))));
  if (isRefusal(labels)) throw faultOf(labels, what, pointer);
}

async function chooseBase(
  streams: Streams,
  modelId: ModelId,
  model: ModelState,
  { new_version: made, base_version: named, init_artifact: init, allow_rolled_back_base: allowed }: TrainingRequest,
): Promise<TrainingBase> {
  if (named !== null) {
    const { state, context } = await requireVersion(streams, modelId, named);
    if (!isHigher(made, named)) throw invalid('/base_version', `${named} is not below ${made}; name a lower version`);
    if (context.tensorsSha === null) throw invalid('/base_version', `${named} is ${state} and has no weights`);
    if (state === 'Rollback' && !allowed) {
      throw invalid(
        '/base_version',
        `${named} was rolled back; say allow_rolled_back_base with a reason, or name another`,
      );
    }
    return { version: named, sha: context.tensorsSha };
  }
  if (init !== null) {
    if (model.context.listed.length > 0) {
      throw invalid('/init_artifact', 'the model has published versions: name a base_version, or leave both out');
    }
    return { version: null, sha: init };
  }
  const below = await usableBelow(streams, modelId, model, made);
  if (below) return below;
  if (model.context.listed.length > 0) {
    const detail = `no usable release is below ${made}: name a base_version that is, or choose a higher new_version`;
    throw invalid('/base_version', detail);
  }
  throw invalid('/init_artifact', 'the model has no usable version: upload first weights and name them');
}

const invalid = (pointer: string, detail: string) =>
  new LifecycleError('invalid_input', `${pointer} ${detail}.`, { errors: [{ pointer, detail }] });
