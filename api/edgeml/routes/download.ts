/** Which file of a version a caller gets, and whether as bytes or as a link (C13, C14). */
import type { FastifyRequest } from 'fastify';
import { LifecycleError } from '../../../domain/errors.ts';
import type { ArtifactFile } from '../../../domain/events/version.ts';
import type { Existing } from '../../../machines/fold.ts';
import { downloadName, firstOf, formatNames } from '../../../domain/formats/fileFormats.ts';
import { howToPublish, isUsable, lifecycleState, type VersionState } from '../../../machines/modelVersion.ts';
import { whoAsks } from '../../access/principal.ts';
import type { ApiDeps } from '../../context.ts';
import type { DownloadLink } from '../../../wire/deviceCalls.ts';
import { seconds } from '../../instant.ts';

const SPELLINGS: Readonly<Record<string, string>> = { tensorflow_lite: 'tflite' };

const agentOf = (request: FastifyRequest) => request.headers['user-agent'] ?? '';

/** The download (C13) has two contracts: Android reads JSON, Python the bytes themselves. */
export function wantsJson(request: FastifyRequest, format: string | undefined): boolean {
  const agent = agentOf(request);
  if (agent.startsWith('Octomil-Android') || request.headers['x-org-id'] !== undefined) return true;
  if ((request.headers.accept ?? '').includes('json')) return true;
  return (format === 'tensorflow_lite' || format === 'tflite') && !agent.startsWith('python');
}

/**
 * @throws LifecycleError `format_not_available` with the formats there are; `guard_refused` for a device that asks for a version
 *   which is not published, or was rolled back since it was told
 */
export function wantedFile(version: Existing<VersionState>, asked: string, request: FastifyRequest): ArtifactFile {
  const { context, state } = version;
  const isOnlyDevice = !whoAsks(request).scopes.has('artifacts:read');
  if (isOnlyDevice && !isUsable(state)) {
    throw new LifecycleError(
      'guard_refused',
      `Version ${context.version} is ${lifecycleState(state)}; devices get published ones.`,
      {
        state,
        command: 'download',
        guards: [
          {
            name: 'published',
            met: false,
            why: `${context.version} is ${state}`,
            how_to_meet:
              state === 'Rollback' ? 'ask which version is in force; this one never returns' : howToPublish(state),
          },
        ],
      },
    );
  }
  const files = context.published?.files ?? context.uploaded;
  const format = SPELLINGS[asked] ?? asked;
  const file = firstOf(files, format === 'auto' ? formatNames() : [format]);
  if (file) return file;
  const formats = files.map((f) => f.format);
  throw new LifecycleError(
    'format_not_available',
    `Version ${context.version} has no ${asked} file. Formats: ${formats.join(', ') || 'none'}.`,
    { more: { formats } },
  );
}

/** A link that needs no key, good for 15 minutes. */
export function downloadLink(deps: Pick<ApiDeps, 'links'>, version: VersionState, file: ArtifactFile): DownloadLink {
  const name = downloadName(version.context.modelId, version.context.version, file.format);
  const { url, expiresAt } = deps.links.sign(file.sha256, name, Date.now());
  return {
    url,
    download_url: url,
    expires_at: seconds(expiresAt),
    checksum: file.sha256,
    file_size: file.bytes,
    size_bytes: file.bytes,
    format: file.format,
    version: version.context.version,
  };
}
