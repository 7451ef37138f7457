/** A model as the APIs show it. */
import type { ModelState } from '../../../machines/model.ts';
import type { View } from '../../reading.ts';
import type { Model } from '../../../wire/model.ts';
import { instant } from '../../instant.ts';
import { latestVersion } from '../../latestVersion.ts';

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
