/** A model as the doors show it. */
import { LifecycleError } from '../../domain/errors.ts';
import { latestOf, whyNoLatest } from '../../domain/semver.ts';
import type { ModelContext, ModelState } from '../../machines/model.ts';
import type { View } from '../reading.ts';
import type { Model } from '../schemas/model.ts';
import { instant } from './instant.ts';

/** Highest precedence among published versions that are no pre-release and not rolled back; null if there is none. */
export async function latestVersion(view: View, modelId: string, context: ModelContext): Promise<string | null> {
  const bad = await view.rolledBack(modelId);
  return latestOf(context.listed.filter((version) => !bad.has(version))) ?? null;
}

/** @throws LifecycleError `version_not_found` that says why there is none */
export async function existingLatest(view: View, modelId: string, context: ModelContext): Promise<string> {
  const bad = await view.rolledBack(modelId);
  const latest = latestOf(context.listed.filter((version) => !bad.has(version)));
  if (latest !== undefined) return latest;
  const why = whyNoLatest(context.listed, (version) => !bad.has(version));
  throw new LifecycleError('version_not_found', `Model ${context.name} has no latest version: ${why}.`);
}

export async function modelView(view: View, id: string, state: ModelState): Promise<Model> {
  const { context } = state;
  return {
    id,
    org_id: context.orgId,
    name: context.name,
    framework: context.framework,
    use_case: context.useCase,
    description: context.description,
    contract: context.contract === null ? null : { ...context.contract },
    architecture: context.architecture,
    stable_version: context.stable,
    latest_version: await latestVersion(view, id, context),
    versions: [...context.listed],
    state: 'Registered',
    created_at: instant(context.createdAt),
    updated_at: instant(context.updatedAt),
    stream_version: state.version,
  };
}
