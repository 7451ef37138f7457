/** A trained version goes through the publishing gate. Bytes stay in the blob store; hashes travel. */
import type { ModelId, Semver } from '../domain/brands.ts';
import { publishStepId } from '../domain/events/commandIds.ts';
import { modelStream, versionStream } from '../domain/events/streams.ts';
import type { VersionState } from '../machines/modelVersion.ts';
import type { Computed } from './contract.ts';
import type { ActivityDeps } from './deps.ts';
import { foldStream } from './foldStream.ts';
import { beating, whileWanted } from './heartbeats.ts';
import { runPublication } from './publishing/work.ts';

interface Publication {
  readonly modelId: ModelId;
  readonly version: Semver;
  readonly n: number;
}

/**
 * Idempotent: a retry stores the same files under the same hashes. A check that fails becomes the command that refuses the
 * publication. Given up soon after a person ends it.
 *
 * @throws LifecycleError `version_not_found`, `stream_diverged`, `blob_unknown`, `conversion_unavailable` (retry); CancelledFailure
 */
export async function buildVersion(deps: ActivityDeps, { modelId, version, n }: Publication): Promise<Computed> {
  const { log, blobs } = deps.commands;
  const stream = versionStream(modelId, version);
  const load = async () => (await foldStream(log, stream, 'version_not_found')).folded;
  const runs = ({ state, context }: VersionState) => state === 'Trained.publishing' && context.publications === n;
  const folded = await load();
  const { tensorsSha, requestedFormats: formats } = folded.context;
  if (!runs(folded) || tensorsSha === null) return { submit: null };

  const model = await foldStream(log, modelStream(modelId), 'model_not_found');
  const { architecture } = model.folded.context;
  const subject = { modelId, version, n };
  let checks = 0;
  const result = await beating(
    () =>
      whileWanted(
        async () => runs(await load()),
        (signal) =>
          runPublication({
            ...{ blobs, runtime: deps.runtime, subject, tensorsSha, architecture, formats, signal },
            beat: (done) => (checks = done),
          }),
      ),
    () => ({ checks }),
  );
  if (!result) return { submit: null };
  const expect = { stream, version: folded.version };
  if (result.kind === 'refused') {
    const command = { kind: 'refusePublish' as const, ...subject, code: result.code, checks: result.checks };
    return { submit: { commandId: publishStepId(modelId, version, n, 'refused'), expect, command } };
  }
  const { files, tensorsSha: published, reportSha } = result;
  const command = { kind: 'recordPublished' as const, ...subject, files, tensorsSha: published, reportSha };
  return { submit: { commandId: publishStepId(modelId, version, n, 'published'), expect, command } };
}
