/** The version that another one follows where nobody names it. */
import type { ModelId, Semver } from '../domain/brands.ts';
import { byPrecedenceDesc, isHigher, isPrerelease } from '../domain/semver.ts';
import type { ModelState } from '../machines/model.ts';
import { isUsable } from '../machines/modelVersion.ts';
import type { Streams } from './execute.ts';

/** The highest published release below `version` that was not rolled back and has tensors; undefined where there is none. */
export async function usableBelow(
  streams: Streams,
  modelId: ModelId,
  model: ModelState,
  version: Semver,
): Promise<{ readonly version: Semver; readonly sha: string } | undefined> {
  const below = model.context.listed.filter((one) => !isPrerelease(one) && isHigher(version, one));
  for (const one of below.sort(byPrecedenceDesc)) {
    const { state, context } = await streams.version(modelId, one);
    if (isUsable(state) && context.tensorsSha !== null) return { version: one, sha: context.tensorsSha };
  }
  return undefined;
}
