/** A trained version through the whole gate, in order: built, verified, sealed. */
import type { ModelId, Semver } from '../../domain/brands.ts';
import type { ArtifactFile, GateCheck } from '../../domain/events/version.ts';
import type { OnnxRuntime } from '../runtimes/onnxRuntime.ts';
import { buildBase, type BaseToBuild } from './buildBase.ts';
import type { GateRefused } from './gate.ts';
import { gateFormats, type GateFormat, type VerifiedFile } from './gateFormats.ts';
import { seal } from './seal.ts';

export interface VersionToPublish extends Omit<BaseToBuild, 'offered'> {
  /** How each format is made and tried: those of this build, unless a test brings its own. */
  readonly gate?: readonly GateFormat[];
  readonly runtime: OnnxRuntime;
  readonly subject: { readonly modelId: ModelId; readonly version: Semver; readonly n: number };
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
export async function runPublication(work: VersionToPublish): Promise<PublishableVersion | GateRefused> {
  const { blobs, runtime, architecture, subject, signal, beat, gate = gateFormats } = work;
  const built = await buildBase({ ...work, offered: gate.map(({ format }) => format) });
  if (built.kind === 'refused') return built;
  const { files, tensorsSha } = built;
  let { checks } = built;
  beat?.(checks.length);

  const ran = new Map<string, Pick<VerifiedFile, 'runtime' | 'seed'>>();
  for (const { format, verify } of gate) {
    const file = files.find((f) => f.format === format.name);
    if (!file || !architecture) continue;
    const { version } = subject;
    const verified = await verify({ blobs, runtime, fileSha: file.sha256, tensorsSha, architecture, version, signal });
    if (verified.kind === 'refused') return { ...verified, checks: [...checks, ...verified.checks] };
    checks = [...checks, ...verified.checks];
    ran.set(format.name, verified);
    beat?.(checks.length);
  }

  const onnx = ran.get('onnx') ?? null;
  const sealed = await seal({ blobs, subject, files, tensorsSha, checks, onnx, signal });
  if (sealed.kind === 'refused') return sealed;
  return { kind: 'publishable', files, tensorsSha, reportSha: sealed.reportSha, checks: sealed.checks };
}
