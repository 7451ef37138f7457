/** Pure. Which blobs a fact names: whoever may read the fact's stream may read them. */
import type { AnyFact } from './streams.ts';

const present = (...shas: readonly (string | null | undefined)[]): string[] =>
  shas.filter((sha): sha is string => typeof sha === 'string');

/** SHA-256 (hex) of each blob that a fact names, in no order. Digests of documents that are not stored as blobs are left out. */
export function blobsOf(fact: AnyFact): string[] {
  switch (fact.type) {
    case 'ArtifactUploaded':
      return fact.data.files.map((f) => f.sha256);
    case 'VersionPublished':
      return [...fact.data.files.map((f) => f.sha256), fact.data.tensors_sha, fact.data.report_sha];
    case 'TrainingCompleted':
      return [fact.data.artifact_sha];
    case 'TrainingRequested':
      return present(fact.data.base.sha, fact.data.spec.evaluation?.set);
    case 'RoundOpened':
      return present(fact.data.base_sha, fact.data.opt_state_sha);
    case 'RoundAggregated':
      return present(fact.data.manifest_sha, fact.data.model_sha, fact.data.opt_state_sha);
    default:
      return [];
  }
}
