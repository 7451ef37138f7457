/** The end of every upload of a model file, on either door: looked at, stored, and made a version's. */
import type { ModelId, Semver } from '../domain/brands.ts';
import { createReadStream } from 'node:fs';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { uploadArtifact } from '../commands/uploadArtifact.ts';
import { versionStream } from '../domain/events/streams.ts';
import { mediaTypeOf } from '../domain/formats/fileFormats.ts';
import type { BlobStat, Spooled } from '../store/artifacts/artifactStore.ts';
import { whoAsks } from './access/principal.ts';
import { runCommand } from './command.ts';
import type { ApiDeps } from './context.ts';

/**
 * A crash before the append leaves a blob that no version names; the same upload again ends in the same version.
 *
 * @throws LifecycleError as `Inspector.inspect` and `uploadArtifact` say; `guard_refused` or `conflict` for other bytes of a stored format
 */
export async function acceptUpload(
  deps: ApiDeps,
  request: FastifyRequest,
  reply: FastifyReply,
  { modelId, version, spooled }: { readonly modelId: ModelId; readonly version: Semver; readonly spooled: Spooled },
) {
  const { format, blob } = await stored(deps, spooled);
  await deps.commands.grants.grant(whoAsks(request).orgId, [blob.sha256]);
  const files = [{ format, sha256: blob.sha256, bytes: blob.bytes, media_type: mediaTypeOf(format) }];
  return runCommand(deps, request, reply, { stream: versionStream(modelId, version) }, (commands, caller) =>
    uploadArtifact(commands, caller, { modelId, version, files }),
  );
}

async function stored(
  { blobs, inspector, maxUploadBytes: max }: Pick<ApiDeps, 'blobs' | 'inspector' | 'maxUploadBytes'>,
  spooled: Spooled,
): Promise<{ readonly format: string; readonly blob: BlobStat }> {
  const found = await inspector.inspect(spooled, max);
  if (found.format === 'onnx') return { format: found.format, blob: await spooled.keep() };
  try {
    // Headers come on top of the tensors: no second limit for what was let in.
    return { format: found.format, blob: await blobs.put(createReadStream(found.path), { max: 2 * max }) };
  } finally {
    await found.remove();
  }
}
