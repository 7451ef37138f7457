/**
 * Pure. The table of artifact formats, as requests, facts, downloads and help spell them: one row for each. How a format is made of
 * tensors stands beside it in `artifactFormats.ts`, so that whoever only names one loads no builder.
 */
import type { ModelId, Semver } from '../brands.ts';
import type { ArtifactFile } from '../events/version.ts';

export interface FileFormat {
  readonly name: string;
  readonly mediaType: string;
}

const OCTETS = 'application/octet-stream';

/** The tensors themselves: every version has them. */
export const SAFETENSORS = { name: 'safetensors', mediaType: OCTETS } as const satisfies FileFormat;
export const ONNX = { name: 'onnx', mediaType: OCTETS } as const satisfies FileFormat;

/** Those that are made of the tensors and a declared graph. */
export const graphFormats: readonly FileFormat[] = [ONNX];

/** Every format that a publication may be asked for, in the order of `auto`: a graph where there is one, else the tensors. */
export const formatNames = (graphs: readonly FileFormat[] = graphFormats): string[] => [
  ...graphs.map(({ name }) => name),
  SAFETENSORS.name,
];

/** Those of a publication that names none: all that can be made, the tensors first. Without a graph there is nothing to build. */
export const formatsFor = (hasGraph: boolean, graphs: readonly FileFormat[] = graphFormats): string[] => [
  SAFETENSORS.name,
  ...(hasGraph ? graphs.map(({ name }) => name) : []),
];

/** Of a file that came without one; of a format that is not in the table, plain bytes. */
export const mediaTypeOf = (format: string): string =>
  [SAFETENSORS, ...graphFormats].find(({ name }) => name === format)?.mediaType ?? OCTETS;

/** The file of the first of `formats` that there is one of. */
export const firstOf = (files: readonly ArtifactFile[], formats: readonly string[]): ArtifactFile | undefined =>
  formats.map((format) => files.find((file) => file.format === format)).find((file) => file !== undefined);

/** SHA-256 of a version's tensors once `files` are attached to it; `before` where none of them holds tensors. */
export const tensorsShaOf = (files: readonly ArtifactFile[], before: string | null): string | null =>
  firstOf(files, [SAFETENSORS.name])?.sha256 ?? before;

/** The name that a downloaded file gets. */
export const downloadName = (modelId: ModelId, version: Semver, format: string): string =>
  `${modelId}-${version}.${format}`;
