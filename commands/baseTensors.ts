/** The tensors a device must send for a base: read once per base, since blobs never change. */
import type { Sha256 } from '../domain/brands.ts';
import type { HeaderEntry } from '../domain/formats/safetensors/index.ts';
import type { ArtifactStore } from '../store/artifacts/artifactStore.ts';
import { blobHeader } from './blobHeader.ts';

export interface BaseLayout {
  readonly sha256: Sha256;
  readonly bytes: number;
  /** All tensors, in canonical order. F32 ones are trained. */
  readonly tensors: readonly HeaderEntry[];
}

/** Metadata, names and padding of an update: 64 KiB, and 256 bytes a tensor (docs/design/learning.md "Admission"). */
const SLACK = 65_536;
const SLACK_PER_TENSOR = 256;
const KEPT = 32;

const layouts = new WeakMap<ArtifactStore, Map<string, BaseLayout>>();

/**
 * @param pointer member of the request that names the base, where one does
 * @throws LifecycleError `blob_unknown`; `malformed_container` for a base that is not safetensors
 */
export async function baseLayout(blobs: ArtifactStore, sha256: Sha256, pointer?: string): Promise<BaseLayout> {
  const known = layouts.get(blobs) ?? new Map<string, BaseLayout>();
  layouts.set(blobs, known);
  const found = known.get(sha256);
  if (found) return found;
  const { bytes, header } = await blobHeader(blobs, sha256, `Base ${sha256}`, pointer);
  const layout = { sha256, bytes, tensors: header.entries };
  if (known.size >= KEPT) known.delete(known.keys().next().value!);
  known.set(sha256, layout);
  return layout;
}

/** The tensors an update has: the F32 ones of the base. */
export const trainedTensors = (layout: BaseLayout) => layout.tensors.filter((t) => t.dtype === 'F32');

/** Everything of an update but its numbers: what a server holds of it at once. */
export const maxHeaderBytes = (layout: BaseLayout): number => SLACK + SLACK_PER_TENSOR * trainedTensors(layout).length;

/** The longest body an update of this base may have, in bytes. */
export const maxUpdateBytes = (layout: BaseLayout): number =>
  trainedTensors(layout).reduce((sum, t) => sum + t.end - t.begin, 0) + maxHeaderBytes(layout);
