/** How the gate tries each format before devices get it: one row for each format that is built. */
import { onnx, type ArtifactFormat } from '../../domain/formats/artifactFormats.ts';
import type { Architecture } from '../../domain/events/model.ts';
import type { GateCheck } from '../../domain/events/version.ts';
import type { ArtifactStore } from '../../store/artifacts/artifactStore.ts';
import type { OnnxRuntime } from '../runtimes/onnxRuntime.ts';
import type { GateRefused } from './gate.ts';
import { verifyOnnx } from './verifyOnnx.ts';

/** A file as stored, and the tensors that it was made of. */
export interface FileToVerify {
  readonly blobs: ArtifactStore;
  readonly runtime: OnnxRuntime;
  readonly fileSha: string;
  readonly tensorsSha: string;
  readonly architecture: Architecture;
  readonly version: string;
  readonly signal?: AbortSignal | undefined;
}

export interface VerifiedFile {
  readonly kind: 'verified';
  readonly checks: readonly GateCheck[];
  /** Name and version of what ran the bytes. */
  readonly runtime: string;
  /** Seed of the golden inputs. */
  readonly seed: string;
}

export interface GateFormat {
  readonly format: ArtifactFormat;
  /** Runs the exact bytes. @throws LifecycleError `conversion_unavailable` (retry), `blob_unknown` */
  verify(file: FileToVerify): Promise<VerifiedFile | GateRefused>;
}

export const gateFormats: readonly GateFormat[] = [
  { format: onnx, verify: ({ fileSha, ...file }) => verifyOnnx({ ...file, onnxSha: fileSha }) },
];
