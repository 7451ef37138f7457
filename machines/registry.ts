/** Pure. Which machine folds which stream, by the `name@version` stored beside each fact. */
import { parseStream, type StreamKind, type StreamName } from '../domain/events/streams.ts';
import type { Folded, Machine } from './fold.ts';
import { modelMachine, type ModelState } from './model.ts';
import { versionMachine, type VersionState } from './modelVersion.ts';
import { rolloutMachine, type RolloutState } from './rollout.ts';
import { trainingMachine, type TrainingState } from './trainingRun.ts';

/** The machine under which new facts of a stream kind are written. */
export const machineOf = {
  model: modelMachine,
  version: versionMachine,
  training: trainingMachine,
  rollout: rolloutMachine,
} as const satisfies Record<StreamKind, unknown>;

/** What the fold of a stream is, by its kind. */
export interface StateByKind {
  model: ModelState;
  version: VersionState;
  training: TrainingState;
  rollout: RolloutState;
}

/** The fold of `stream`, as one of its kind. @param folded by {@link machineFor} of that stream */
export const stateOf = <K extends StreamKind>(_stream: StreamName<K>, folded: Folded<unknown>): StateByKind[K] =>
  // The kind in the stream's name chose the machine, and the machine fixes context and states.
  folded as StateByKind[K];

/** Every machine that ever wrote a fact, by name. Released machines stay here for ever. */
export const machinesByName: ReadonlyMap<string, Machine<unknown>> = new Map(
  Object.values(machineOf).map((machine) => [machine.name, machine as Machine<unknown>]),
);

/** Machine that writes the facts of `stream` today. @throws Error for a stream that is none of ours (a bug) */
export function machineFor(stream: string): Machine<unknown> {
  const parsed = parseStream(stream);
  if (!parsed) throw new Error(`no machine for stream ${stream}`);
  return machineOf[parsed.kind];
}
