/**
 * Steps 1 to 3 of docs/design/publishing.md "The gate": the tensors are what was trained, all numbers are finite, and what we
 * wrote reads back bit for bit.
 */
import type { Sha256 } from '../../domain/brands.ts';
import { LifecycleError, type ErrorCode } from '../../domain/errors.ts';
import type { Architecture } from '../../domain/events/model.ts';
import type { ArtifactFile, GateCheck } from '../../domain/events/version.ts';
import { artifactFormats, type ArtifactFormat } from '../../domain/formats/artifactFormats.ts';
import { formatNames, formatsFor, SAFETENSORS, type FileFormat } from '../../domain/formats/fileFormats.ts';
import {
  isFiniteTensor,
  isRefusal,
  readSafetensors,
  writeSafetensors,
  type Refusal,
  type Tensor,
} from '../../domain/formats/safetensors/index.ts';
import type { ArtifactStore } from '../../store/artifacts/artifactStore.ts';
import { check, artifactFile, refusedBy, type GateRefused } from './gate.ts';

export interface BaseToBuild {
  readonly blobs: ArtifactStore;
  /** The version's artifact: a safetensors blob. */
  readonly tensorsSha: string;
  readonly architecture: Architecture | null;
  /** Empty: all that can be made with an architecture, else safetensors. */
  readonly formats: readonly string[];
  /** What can be made beside safetensors: the formats of this build, unless a test brings its own. */
  readonly offered?: readonly ArtifactFormat[];
  readonly signal?: AbortSignal | undefined;
}

export interface BuiltBase {
  readonly kind: 'built';
  /** safetensors first. */
  readonly files: readonly ArtifactFile[];
  /** SHA-256 of the canonical safetensors file: depends on the tensors alone. */
  readonly tensorsSha: string;
  readonly checks: readonly GateCheck[];
}

/** safetensors is always written: it holds the tensors that everything else is compared with. */
function wantedFormats({
  formats,
  architecture,
  offered = artifactFormats,
}: BaseToBuild): readonly string[] | { code: ErrorCode; detail: string } {
  const names = formatNames(offered);
  const unknown = formats.find((f) => !names.includes(f));
  if (unknown !== undefined)
    return {
      code: 'format_not_available',
      detail: `format "${unknown}" is not made by this release; ${names.join(', ')} are`,
    };
  const built = formats.find((f) => f !== SAFETENSORS.name);
  if (built !== undefined && !architecture)
    return {
      code: 'graph_required',
      detail: `${built} was asked for, but the model declares no architecture: weights alone have no graph`,
    };
  if (formats.length > 0) return [...new Set([SAFETENSORS.name, ...formats])];
  return formatsFor(architecture !== null, offered);
}

/** The blob's bytes, or why they are not those that were recorded. @throws LifecycleError `blob_unknown` */
async function recordedBytes(blobs: ArtifactStore, sha256: Sha256): Promise<Uint8Array | Refusal> {
  try {
    return await blobs.bytes(sha256);
  } catch (error) {
    if (error instanceof LifecycleError && error.code === 'checksum_mismatch')
      return { code: error.code, detail: error.message };
    throw error;
  }
}

const sameBytes = (a: Uint8Array, b: Uint8Array) => Buffer.compare(a, b) === 0;

/** The first tensor of `expected` that `found` lacks or holds otherwise; undefined if all are equal bit for bit. */
function firstDifference(expected: readonly Tensor[], found: readonly Tensor[]): string | undefined {
  const byName = new Map(found.map((t) => [t.name, t]));
  const differs = (t: Tensor) => {
    const other = byName.get(t.name);
    return other?.dtype !== t.dtype || other.shape.join() !== t.shape.join() || !sameBytes(other.data, t.data);
  };
  return (
    expected.find(differs)?.name ?? (found.length === expected.length ? undefined : 'one that should not be there')
  );
}

/** Stores the bytes and compares what comes back with the tensors that went in. */
async function writeAndReadBack(
  blobs: ArtifactStore,
  { name: format, mediaType }: FileFormat,
  bytes: Uint8Array,
  expected: readonly Tensor[],
  read: (bytes: Uint8Array) => readonly Tensor[] | Refusal,
): Promise<{ readonly file: ArtifactFile; readonly made: GateCheck }> {
  const blob = await blobs.put(bytes, { max: bytes.length });
  const found = read(await blobs.bytes(blob.sha256));
  const difference = isRefusal(found) ? found.detail : firstDifference(expected, found);
  const detail = difference === undefined ? `${expected.length} tensors equal bit for bit` : `differs: ${difference}`;
  return {
    file: artifactFile(format, blob, mediaType),
    made: check(3, `${format}_read_back`, difference === undefined, detail),
  };
}

const tensorsOf = (bytes: Uint8Array): readonly Tensor[] | Refusal => {
  const file = readSafetensors(bytes);
  return isRefusal(file) ? file : file.tensors;
};

/**
 * Writes the canonical safetensors file and the wanted formats, after their checks. Idempotent: blobs are named by content.
 *
 * @throws LifecycleError `blob_unknown`
 */
export async function buildBase(work: BaseToBuild): Promise<BuiltBase | GateRefused> {
  const { blobs, architecture, offered = artifactFormats, signal } = work;
  const checks: GateCheck[] = [];
  const wanted = wantedFormats(work);
  if ('code' in wanted) return refusedBy(checks, check(1, 'formats', false, wanted.detail), wanted.code);
  checks.push(check(1, 'formats', true, wanted.join(', ')));
  const bytes = await recordedBytes(blobs, work.tensorsSha);
  if (isRefusal(bytes)) return refusedBy(checks, check(1, 'tensors_digest', false, bytes.detail), bytes.code);
  checks.push(check(1, 'tensors_digest', true, work.tensorsSha));

  const tensors = tensorsOf(bytes);
  if (isRefusal(tensors)) return refusedBy(checks, check(2, 'tensors', false, tensors.detail), tensors.code);
  const broken = tensors.find((t) => !isFiniteTensor(t));
  const finite = broken
    ? `tensor "${broken.name}" holds NaN or infinity`
    : `${tensors.length} tensors, all numbers finite`;
  if (broken) return refusedBy(checks, check(2, 'finite', false, finite));
  checks.push(check(2, 'finite', true, finite));

  signal?.throwIfAborted();
  const base = await writeAndReadBack(blobs, SAFETENSORS, writeSafetensors(tensors), tensors, tensorsOf);
  if (!base.made.passed) return refusedBy(checks, base.made);
  checks.push(base.made);
  const files = [base.file];
  if (!architecture) return { kind: 'built', files, tensorsSha: base.file.sha256, checks };
  const floats = tensors.filter((t) => t.dtype === 'F32');
  for (const format of offered.filter(({ name }) => wanted.includes(name))) {
    const model = format.build(architecture, tensors);
    if (isRefusal(model)) return refusedBy(checks, check(3, 'graph', false, model.detail), model.code);
    checks.push(check(3, 'graph', true, `${architecture.kind}, ${format.madeAs}`));
    const built = await writeAndReadBack(blobs, format, model, floats, (found) => format.read(found));
    if (!built.made.passed) return refusedBy(checks, built.made);
    checks.push(built.made);
    files.push(built.file);
  }
  return { kind: 'built', files, tensorsSha: base.file.sha256, checks };
}
