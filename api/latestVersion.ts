/** The version that is the latest of a model, as a view has it. */
import type { ModelId } from '../domain/brands.ts';
import { LifecycleError } from '../domain/errors.ts';
import { latestOf, whyNoLatest } from '../domain/semver.ts';
import type { ModelContext } from '../machines/model.ts';
import type { View } from './reading.ts';

/** Highest precedence among published versions that are no pre-release and not rolled back; null if there is none. */
export async function latestVersion(view: View, modelId: ModelId, context: ModelContext): Promise<string | null> {
  if (context.listed.length === 0) return null;
  const bad = await view.rolledBack(modelId);
  return latestOf(context.listed.filter((version) => !bad.has(version))) ?? null;
}

/** @throws LifecycleError `version_not_found` that says why there is none */
export async function existingLatest(view: View, modelId: ModelId, context: ModelContext): Promise<string> {
  const bad = await view.rolledBack(modelId);
  const latest = latestOf(context.listed.filter((version) => !bad.has(version)));
  if (latest !== undefined) return latest;
  const why = whyNoLatest(context.listed, (version) => !bad.has(version));
  throw new LifecycleError('version_not_found', `Model ${context.name} has no latest version: ${why}.`);
}
