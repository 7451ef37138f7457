/** The last step of docs/design/publishing.md "The gate": the bytes a device will fetch are read once more, and the report is stored. */
import type { ModelId, Semver } from '../../domain/brands.ts';
import { createHash } from 'node:crypto';
import { cpus } from 'node:os';
import { LifecycleError } from '../../domain/errors.ts';
import type { ArtifactFile, GateCheck } from '../../domain/events/version.ts';
import { canonicalJson } from '../../domain/hash/canonicalJson.ts';
import { utf8ToBytes } from '../../domain/hash/sha256.ts';
import type { ArtifactStore } from '../../store/artifacts/artifactStore.ts';
import { check, refusedBy, type GateRefused } from './gate.ts';

export interface VersionToSeal {
  readonly blobs: ArtifactStore;
  readonly subject: { readonly modelId: ModelId; readonly version: Semver; readonly n: number };
  readonly files: readonly ArtifactFile[];
  readonly tensorsSha: string;
  /** All that passed before. */
  readonly checks: readonly GateCheck[];
  /** What ran ONNX and on which golden inputs; null where there is no graph. */
  readonly onnx: { readonly runtime: string; readonly seed: string } | null;
  readonly signal?: AbortSignal | undefined;
}

export interface SealedVersion {
  readonly kind: 'sealed';
  readonly reportSha: string;
  readonly checks: readonly GateCheck[];
}

/** What is wrong with the stored file, or undefined. */
async function problemOf(blobs: ArtifactStore, file: ArtifactFile, signal?: AbortSignal): Promise<string | undefined> {
  const hash = createHash('sha256');
  let bytes = 0;
  try {
    for await (const chunk of await blobs.get(file.sha256)) {
      signal?.throwIfAborted();
      const part = chunk as Uint8Array; // the store's streams are bytes
      hash.update(part);
      bytes += part.length;
    }
  } catch (error) {
    if (error instanceof LifecycleError && error.code === 'blob_unknown') return `${file.format}: ${error.message}`;
    throw error;
  }
  const found = hash.digest('hex');
  if (found === file.sha256 && bytes === file.bytes) return undefined;
  return `${file.format} must be ${file.bytes} bytes of ${file.sha256}, stored are ${bytes} of ${found}`;
}

/**
 * Hashes every file as stored, then stores `report.json` (RFC 8785): every check, and where it was made. Two workers may write
 * different reports of one publication; the fact names the one that counts.
 */
export async function seal(work: VersionToSeal): Promise<SealedVersion | GateRefused> {
  const { blobs, files, subject } = work;
  for (const file of files) {
    const problem = await problemOf(blobs, file, work.signal);
    if (problem !== undefined) return refusedBy(work.checks, check(11, 'sealed', false, problem));
  }
  const checks = [...work.checks, check(11, 'sealed', true, `${files.length} files re-read and hashed`)];
  const report = utf8ToBytes(
    canonicalJson({
      v: 1,
      subject: { model_id: subject.modelId, version: subject.version, n: subject.n },
      files,
      tensors_sha: work.tensorsSha,
      checks,
      golden_inputs: work.onnx && { seed: work.onnx.seed, rows: 16 },
      made_with: {
        onnx_runtime: work.onnx?.runtime ?? null,
        node: process.version,
        platform: `${process.platform} ${process.arch}`,
        cpu: cpus()[0]?.model ?? 'unknown',
      },
    }),
  );
  const { sha256 } = await blobs.put(report, { max: report.length });
  return { kind: 'sealed', reportSha: sha256, checks };
}
