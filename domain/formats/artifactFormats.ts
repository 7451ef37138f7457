/** Pure. The files that are made of a version's tensors, beside safetensors, which every version has: one row for each format. */
import type { Architecture } from '../events/model.ts';
import { buildMlp, OPSET, readInitialisers } from './onnx/index.ts';
import type { Refused, Tensor } from './safetensors/index.ts';

export interface ArtifactFormat {
  /** As requests, facts and downloads spell it. */
  readonly name: string;
  /** What the report of a publication says of the way it was made. */
  readonly madeAs: string;
  readonly mediaType: string;
  /** The declared graph around the tensors. */
  build(architecture: Architecture, tensors: readonly Tensor[]): Uint8Array | Refused;
  /** The F32 tensors that a file holds: the gate compares them bit for bit with those that went in. */
  read(bytes: Uint8Array): readonly Tensor[] | Refused;
}

export const onnx: ArtifactFormat = {
  name: 'onnx',
  madeAs: `opset ${OPSET}`,
  mediaType: 'application/octet-stream',
  build: buildMlp,
  read: readInitialisers,
};

export const artifactFormats: readonly ArtifactFormat[] = [onnx];

/** Every format that a publication may be asked for. */
export const formatNames = (formats: readonly ArtifactFormat[] = artifactFormats): string[] => [
  ...formats.map(({ name }) => name),
  'safetensors',
];

/** Those of a publication that names none: all that can be made. Without a graph there is nothing to build. */
export const formatsFor = (hasGraph: boolean, formats: readonly ArtifactFormat[] = artifactFormats): string[] => [
  'safetensors',
  ...(hasGraph ? formats.map(({ name }) => name) : []),
];
