/** Pure. Which machine folds which stream, by the `name@version` stored beside each fact. */
import { parseStream, type StreamKind } from '../domain/events/streams.ts';
import type { Machine } from './fold.ts';
import { modelMachine } from './model.ts';
import { versionMachine } from './modelVersion.ts';
import { rolloutMachine } from './rollout.ts';
import { trainingMachine } from './trainingRun.ts';

/** The machine under which new facts of a stream kind are written. */
export const machineOf = {
  model: modelMachine,
  version: versionMachine,
  training: trainingMachine,
  rollout: rolloutMachine,
} as const satisfies Record<StreamKind, unknown>;

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
