/** A trained version through the whole gate, in order: built, verified, sealed. */
import type { ArtifactFile, GateCheck } from '../../domain/events/version.ts';
import type { OnnxRuntime } from '../runtimes/onnxRuntime.ts';
import { buildBase, type BaseToBuild } from './buildBase.ts';
import type { GateRefused } from './gate.ts';
import { seal } from './seal.ts';
import { verifyOnnx } from './verifyOnnx.ts';

export interface VersionToPublish extends BaseToBuild {
  readonly runtime: OnnxRuntime;
  readonly subject: { readonly modelId: string; readonly version: string; readonly n: number };
  /** Called between steps with the number of checks made. */
  readonly beat?: (checks: number) => void;
}

export interface PublishableVersion {
  readonly kind: 'publishable';
  readonly files: readonly ArtifactFile[];
  readonly tensorsSha: string;
  readonly reportSha: string;
  readonly checks: readonly GateCheck[];
}

/**
 * The data of VersionPublished or of PublishRefused. Idempotent: a retry stores the same files under the same hashes.
 *
 * @throws LifecycleError `conversion_unavailable` (retry later), `blob_unknown`; the signal's reason
 */
export async function publishVersion(work: VersionToPublish): Promise<PublishableVersion | GateRefused> {
  const { blobs, architecture, subject, signal, beat } = work;
  const built = await buildBase(work);
  if (built.kind === 'refused') return built;
  const { files, tensorsSha } = built;
  let { checks } = built;
  beat?.(checks.length);

  const onnxFile = files.find((f) => f.format === 'onnx');
  let onnx = null;
  if (onnxFile && architecture) {
    const { version } = subject;
    const verified = await verifyOnnx({ ...work, onnxSha: onnxFile.sha256, tensorsSha, architecture, version });
    if (verified.kind === 'refused') return { ...verified, checks: [...checks, ...verified.checks] };
    checks = [...checks, ...verified.checks];
    onnx = { runtime: verified.runtime, seed: verified.seed };
    beat?.(checks.length);
  }

  const sealed = await seal({ blobs, subject, files, tensorsSha, checks, onnx, signal });
  if (sealed.kind === 'refused') return sealed;
  return { kind: 'publishable', files, tensorsSha, reportSha: sealed.reportSha, checks: sealed.checks };
}
