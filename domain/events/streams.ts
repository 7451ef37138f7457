/** Pure. Stream names: made and parsed here only. */
import type { ModelId, Semver } from '../brands.ts';
import type { ModelFact } from './model.ts';
import type { RolloutFact } from './rollout.ts';
import type { TrainingFact } from './training.ts';
import type { VersionFact } from './version.ts';

export type StreamKind = 'model' | 'version' | 'training' | 'rollout';
export interface FactsByKind {
  model: ModelFact;
  version: VersionFact;
  training: TrainingFact;
  rollout: RolloutFact;
}
export type AnyFact = FactsByKind[StreamKind];

/** Name of a stream of that kind. */
export type StreamName<K extends StreamKind = StreamKind> = `${K}-${string}`;

export const modelStream = (modelId: ModelId): StreamName<'model'> => `model-${modelId}`;
export const versionStream = (modelId: ModelId, version: Semver): StreamName<'version'> =>
  `version-${modelId}@${version}`;
export const trainingStream = (runId: string): StreamName<'training'> => `training-${runId}`;
export const rolloutStream = (rolloutId: number): StreamName<'rollout'> => `rollout-${rolloutId}`;

export type ParsedStream =
  | { kind: 'model'; modelId: ModelId }
  | { kind: 'version'; modelId: ModelId; version: Semver }
  | { kind: 'training'; runId: string }
  | { kind: 'rollout'; rolloutId: number };

/** Parts of a stream name; undefined where it is none of ours. */
export function parseStream(stream: string): ParsedStream | undefined {
  const dash = stream.indexOf('-');
  const kind = stream.slice(0, dash);
  const rest = stream.slice(dash + 1);
  if (dash < 1 || rest === '') return undefined;
  switch (kind) {
    case 'model':
      return { kind, modelId: rest };
    case 'training':
      return { kind, runId: rest };
    case 'rollout':
      return /^[1-9]\d{0,14}$/.test(rest) ? { kind, rolloutId: Number(rest) } : undefined;
    case 'version': {
      const at = rest.indexOf('@');
      if (at < 1 || at === rest.length - 1) return undefined;
      return { kind, modelId: rest.slice(0, at), version: rest.slice(at + 1) };
    }
    default:
      return undefined;
  }
}
