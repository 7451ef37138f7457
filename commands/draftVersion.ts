/** A version gets its name, before it has bytes. */
import type { ModelId, Semver } from '../domain/brands.ts';
import { LifecycleError } from '../domain/errors.ts';
import { versionStream } from '../domain/events/streams.ts';
import { isHigher, versionProblem } from '../domain/semver.ts';
import { decideVersion } from '../machines/versionDecision.ts';
import type { Caller, CommandDeps, Outcome } from './context.ts';
import { execute, joinDecisions, type Streams } from './execute.ts';
import { requireModel } from './existing.ts';

export interface DraftVersion {
  readonly modelId: ModelId;
  readonly version: Semver;
  readonly parent?: string;
}

/** VersionDrafted. @throws LifecycleError `invalid_version`, `model_not_found`, `parent_not_found` */
export async function draftVersion(deps: CommandDeps, caller: Caller, input: DraftVersion): Promise<Outcome> {
  const { modelId, version, parent = null } = input;
  checkVersion(version);
  return execute(deps, caller, async (streams) => {
    const model = await requireModel(streams, modelId);
    if (parent !== null) await checkParent(streams, modelId, version, parent);
    const state = await streams.version(modelId, version);
    const data = { model_id: modelId, version, parent, contract_digest: model.context.contractDigest };
    const decision = decideVersion(state, { type: 'draft', data }, streams.now().getTime());
    return joinDecisions([{ stream: versionStream(modelId, version), decision }]);
  });
}

/** @throws LifecycleError `invalid_version` */
export function checkVersion(version: Semver): void {
  const problem = versionProblem(version);
  if (problem) throw new LifecycleError('invalid_version', problem);
}

async function checkParent(streams: Streams, modelId: ModelId, version: Semver, parent: string): Promise<void> {
  checkVersion(parent);
  const state = await streams.version(modelId, parent);
  if (state.version === 0 || state.context.tensorsSha === null) {
    throw new LifecycleError(
      'parent_not_found',
      `Parent ${parent} ${state.version === 0 ? 'does not exist' : 'has no artifact'}.`,
    );
  }
  if (!isHigher(version, parent)) {
    throw new LifecycleError('parent_not_found', `Parent ${parent} is not below ${version}. Name a lower version.`);
  }
}
