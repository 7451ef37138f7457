/**
 * Pure. What the fold of pointers keeps beside the documents. It grows with a model's rollouts, and the document is copied by every
 * fact that moves it: so this is kept by the row, and a fact asks for the rows that it names.
 */
import type { ModelId, Semver } from '../brands.ts';
import type { SequencedEvent } from '../events/envelope.ts';
import { parseStream } from '../events/streams.ts';

/** Only RolloutCreated names the model and the version of a rollout. */
export interface RolloutOf {
  readonly model_id: string;
  readonly version: Semver;
}

export interface PointerMemory {
  /** Of a rollout that was created and has been neither aborted nor rolled back: a completed one may still be. */
  rollout(id: number): RolloutOf | undefined;
  /** The mark is for ever. */
  isRolledBack(modelId: ModelId, version: Semver): boolean;
}

export interface RolloutOfId extends RolloutOf {
  readonly rollout_id: number;
}

/** What one fact changes of the memory. */
export interface Remembered {
  readonly created?: RolloutOfId;
  /** Rolled back or aborted: no fact of it moves a pointer any more. */
  readonly ended?: RolloutOfId;
  /** Model and version. */
  readonly rolledBack?: RolloutOf;
}

/** @param rollout of the memory, where the fact is one of a rollout */
export function remembered({ stream, fact }: SequencedEvent, rollout: RolloutOf | undefined): Remembered {
  const of = parseStream(stream);
  if (of?.kind === 'version' && fact.type === 'VersionRolledBack') {
    return { rolledBack: { model_id: of.modelId, version: of.version } };
  }
  if (of?.kind !== 'rollout') return {};
  const { rolloutId } = of;
  if (fact.type === 'RolloutCreated') {
    return { created: { rollout_id: rolloutId, model_id: fact.data.model_id, version: fact.data.version } };
  }
  if (!rollout || (fact.type !== 'RolloutAborted' && fact.type !== 'RolloutRolledBack')) return {};
  const { model_id, version } = rollout;
  const ended = { rollout_id: rolloutId, model_id, version };
  return fact.type === 'RolloutAborted' ? { ended } : { ended, rolledBack: { model_id, version } };
}

/** The memory in memory. One owner. */
export interface OwnMemory extends PointerMemory {
  learn(news: Remembered): void;
  /** Those that have not ended. */
  rolloutIds(): Iterable<number>;
}

/** Empty. */
export function createMemory(): OwnMemory {
  const rollouts = new Map<number, RolloutOf>();
  const marks = new Map<string, Set<string>>();
  return {
    rollout: (id) => rollouts.get(id),
    isRolledBack: (modelId, version) => marks.get(modelId)?.has(version) ?? false,
    learn({ created, ended, rolledBack }) {
      if (created) rollouts.set(created.rollout_id, created);
      if (ended) rollouts.delete(ended.rollout_id);
      if (!rolledBack) return;
      const { model_id, version } = rolledBack;
      const ofModel = marks.get(model_id);
      if (ofModel) ofModel.add(version);
      else marks.set(model_id, new Set([version]));
    },
    rolloutIds: () => rollouts.keys(),
  };
}
