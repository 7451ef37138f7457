/** The book of a publication's checks, in the order of docs/design/publishing.md "The gate", and how a publication is refused. */
import type { Sha256 } from '../../domain/brands.ts';
import type { ErrorCode } from '../../domain/errors.ts';
import { printable } from '../../domain/hash/soundJson.ts';
import { cutText } from '../../domain/text.ts';
import type { ArtifactFile, GateCheck } from '../../domain/events/version.ts';

export interface GateRefused {
  readonly kind: 'refused';
  /** PublishRefused's code. */
  readonly code: ErrorCode;
  /** Every check made so far; the last one failed. */
  readonly checks: readonly GateCheck[];
}

const DETAIL_MOST = 2000;

/** One check, its detail cut to what a fact may hold: names in files and messages of runtimes come from outside. */
export const check = (step: number, name: string, passed: boolean, detail: string): GateCheck => {
  return { step, name, passed, detail: cutText(printable(detail), DETAIL_MOST) };
};

/** The checks end with one that failed. */
export const refusedBy = (
  checks: readonly GateCheck[],
  failed: GateCheck,
  code: ErrorCode = 'gate_failed',
): GateRefused => {
  return { kind: 'refused', code, checks: [...checks, failed] };
};

export const artifactFile = (
  format: string,
  { sha256, bytes }: { readonly sha256: Sha256; readonly bytes: number },
  mediaType: string,
): ArtifactFile => {
  return { format, sha256, bytes, media_type: mediaType };
};
