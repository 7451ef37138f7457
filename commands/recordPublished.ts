/** The gate passed: the version is published and listed, in one append, so that of two conflicting versions one lands. */
import type { ModelId, Semver } from '../domain/brands.ts';
import type { ArtifactFile } from '../domain/events/version.ts';
import { modelStream, versionStream } from '../domain/events/streams.ts';
import { decideModel } from '../machines/model.ts';
import { decideVersion } from '../machines/versionDecision.ts';
import type { Caller, CommandDeps, Outcome } from './context.ts';
import { execute, joinDecisions } from './execute.ts';
import { requireModel, requireVersion } from './existing.ts';

export interface RecordPublished {
  readonly modelId: ModelId;
  readonly version: Semver;
  readonly n: number;
  readonly files: readonly ArtifactFile[];
  readonly tensorsSha: string;
  readonly reportSha: string;
}

/** VersionPublished + VersionListed. Refused with `version_not_monotone` where a higher one of the line came first. */
export async function recordPublished(deps: CommandDeps, caller: Caller, input: RecordPublished): Promise<Outcome> {
  const { modelId, version } = input;
  return execute(deps, caller, async (streams) => {
    await streams.preload([modelStream(modelId), versionStream(modelId, version)]);
    const model = await requireModel(streams, modelId);
    const state = await requireVersion(streams, modelId, version);
    const now = streams.now().getTime();
    const data = {
      n: input.n,
      files: [...input.files],
      tensors_sha: input.tensorsSha,
      report_sha: input.reportSha,
    };
    const published = decideVersion(state, { type: 'publish', data }, now);
    if (published.kind === 'already') return published;
    return joinDecisions([
      { stream: versionStream(modelId, version), decision: published },
      { stream: modelStream(modelId), decision: decideModel(model, { type: 'listVersion', version }, now) },
    ]);
  });
}
