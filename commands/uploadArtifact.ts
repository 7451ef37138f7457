/** Bytes made elsewhere become a version, without training here. The blobs are stored before. */
import type { ModelId, Semver } from '../domain/brands.ts';
import { versionStream } from '../domain/events/streams.ts';
import type { ArtifactFile } from '../domain/events/version.ts';
import { versionMachine } from '../machines/modelVersion.ts';
import { decideVersion } from '../machines/versionDecision.ts';
import type { Caller, CommandDeps, Outcome } from './context.ts';
import { checkVersion } from './draftVersion.ts';
import { execute, joinDecisions } from './execute.ts';
import { requireModel } from './existing.ts';
import { foresee } from './foresee.ts';
import { requireGranted } from './ownership.ts';
import { requireFiles } from './publishable.ts';
import { usableBelow } from './usableBelow.ts';

export interface UploadArtifact {
  readonly modelId: ModelId;
  readonly version: Semver;
  readonly files: readonly ArtifactFile[];
}

/**
 * VersionDrafted where the version is new, as the next of the highest usable one below it; and ArtifactUploaded.
 *
 * @throws LifecycleError `blob_unknown` before anything; `malformed_container`, `architecture_mismatch` for weights that could
 *   never be published
 */
export async function uploadArtifact(deps: CommandDeps, caller: Caller, input: UploadArtifact): Promise<Outcome> {
  const { modelId, version, files } = input;
  checkVersion(version);
  for (const [i, { sha256 }] of files.entries())
    await requireGranted(deps, modelId, sha256, `Blob ${sha256}`, `/files/${i}/sha256`);
  const stream = versionStream(modelId, version);
  return execute(deps, caller, async (streams) => {
    const model = await requireModel(streams, modelId);
    const state = await streams.version(modelId, version);
    const now = streams.now().getTime();
    const draft = async () => {
      const parent = (await usableBelow(streams, modelId, model, version))?.version ?? null;
      const data = { model_id: modelId, version, parent, contract_digest: model.context.contractDigest };
      return decideVersion(state, { type: 'draft', data }, now);
    };
    const drafted = state.version === 0 ? await draft() : undefined;
    const uploaded = decideVersion(
      drafted ? foresee(versionMachine, state, drafted, now) : state,
      { type: 'uploadArtifact', data: { files: [...files] } },
      now,
    );
    if (uploaded.kind === 'facts') await requireFiles(deps, model.context.architecture, files);
    return joinDecisions([...(drafted ? [{ stream, decision: drafted }] : []), { stream, decision: uploaded }]);
  });
}
