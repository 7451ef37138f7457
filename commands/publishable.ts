/** What the gate would refuse later, as far as a file's header tells it: said when it is asked for, not when it was tried. */
import type { Sha256 } from '../domain/brands.ts';
import { LifecycleError } from '../domain/errors.ts';
import type { Architecture } from '../domain/events/model.ts';
import type { ArtifactFile } from '../domain/events/version.ts';
import { planMlp } from '../domain/formats/architecture.ts';
import { SAFETENSORS } from '../domain/formats/fileFormats.ts';
import { isRefusal } from '../domain/refusal.ts';
import { blobHeader, faultOf } from './blobHeader.ts';
import type { CommandDeps } from './context.ts';

/**
 * Weights that can be published: a safetensors file whose tensors make the declared graph.
 *
 * @param architecture null: no graph is built of them
 * @throws LifecycleError `blob_unknown`, `malformed_container`, `architecture_mismatch`, with `pointer`
 */
async function requireWeights(
  { blobs }: Pick<CommandDeps, 'blobs'>,
  architecture: Architecture | null,
  sha256: Sha256,
  pointer: string,
): Promise<void> {
  const what = `Weights ${sha256}`;
  const { header } = await blobHeader(blobs, sha256, what, pointer);
  const plan = architecture && planMlp(architecture, header.entries);
  if (plan && isRefusal(plan)) throw faultOf(plan, what, pointer);
}

/** Files about to become a version's. @throws LifecycleError as for weights; `invalid_input` for a file without a byte */
export async function requireFiles(
  deps: Pick<CommandDeps, 'blobs'>,
  architecture: Architecture | null,
  files: readonly ArtifactFile[],
): Promise<void> {
  for (const [i, { format, sha256, bytes }] of files.entries()) {
    const pointer = `/files/${i}/sha256`;
    if (format === SAFETENSORS.name) await requireWeights(deps, architecture, sha256, pointer);
    else if (bytes === 0) {
      const detail = `the ${format} file has no byte`;
      throw new LifecycleError('invalid_input', `${pointer} ${detail}.`, { errors: [{ pointer, detail }] });
    }
  }
}

/**
 * A publication about to begin.
 *
 * @throws LifecycleError `graph_required` where a format needs a graph and none is declared; else as for weights
 */
export async function requirePublishable(
  deps: Pick<CommandDeps, 'blobs'>,
  architecture: Architecture | null,
  formats: readonly string[],
  tensorsSha: string,
): Promise<void> {
  const built = formats.find((format) => format !== SAFETENSORS.name);
  if (built !== undefined && !architecture) {
    const detail = `${built} needs a graph, and the model declares no architecture`;
    throw new LifecycleError('graph_required', `/formats ${detail}.`, { errors: [{ pointer: '/formats', detail }] });
  }
  await requireWeights(deps, built === undefined ? null : architecture, tensorsSha, '/formats');
}
