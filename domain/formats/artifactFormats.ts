/** Pure. How each graph format of `fileFormats.ts` is made of a version's tensors, and read back. */
import type { Architecture } from '../events/model.ts';
import { ONNX, type FileFormat } from './fileFormats.ts';
import { buildMlp, OPSET, readInitialisers } from './onnx/index.ts';
import type { Refusal, Tensor } from './safetensors/index.ts';

export interface ArtifactFormat extends FileFormat {
  /** What the report of a publication says of the way it was made. */
  readonly madeAs: string;
  /** The declared graph around the tensors. */
  build(architecture: Architecture, tensors: readonly Tensor[]): Uint8Array | Refusal;
  /** The F32 tensors that a file holds: the gate compares them bit for bit with those that went in. */
  read(bytes: Uint8Array): readonly Tensor[] | Refusal;
}

export const onnx: ArtifactFormat = {
  ...ONNX,
  madeAs: `opset ${OPSET}`,
  build: buildMlp,
  read: readInitialisers,
};

export const artifactFormats: readonly ArtifactFormat[] = [onnx];
