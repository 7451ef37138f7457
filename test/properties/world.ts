/**
 * The world of a random history: where every entity stands, and what was appended. A part that its machine refuses leaves all of it as it
 * was. Pure.
 */
import {
  modelStream,
  rolloutStream,
  trainingStream,
  versionStream,
  type AnyFact,
  type StreamKind,
  type StreamName,
} from '../../domain/events/streams.ts';
import { sha256Hex } from '../../domain/hash/sha256.ts';
import type { Decision } from '../../machines/decision.ts';
import type { Folded } from '../../machines/fold.ts';
import { decideModel } from '../../machines/model.ts';
import { decideVersion } from '../../machines/versionDecision.ts';
import { machineFor, stateOf } from '../../machines/registry.ts';
import { decideRollout } from '../../machines/rolloutDecision.ts';
import { decideTraining } from '../../machines/trainingDecision.ts';

export interface HistoryAppend {
  readonly commandId: string;
  readonly facts: readonly { readonly stream: string; readonly fact: AnyFact }[];
}
export type Part = readonly [stream: string, decision: Decision<AnyFact>];
export type World = ReturnType<typeof createWorld>;

export const START = Date.UTC(2026, 0, 1);
export const shaOf = (text: string) => sha256Hex(new TextEncoder().encode(text));

/** Nothing happened yet; the clock stands at {@link START}. */
export function createWorld() {
  const states = new Map<string, Folded<unknown>>();
  const appends: HistoryAppend[] = [];
  const runs: string[] = [];
  const rollouts: number[] = [];
  const clock = { now: START };

  const state = (stream: string) => states.get(stream) ?? machineFor(stream).initial();
  const one = <K extends StreamKind>(stream: StreamName<K>) => stateOf(stream, state(stream));
  const model = (id: string) => one(modelStream(id));
  const version = (id: string, v: string) => one(versionStream(id, v));
  const run = (id: string) => one(trainingStream(id));
  const rollout = (id: number) => one(rolloutStream(id));
  const onModel = (id: string, command: Parameters<typeof decideModel>[1]): Part => [
    modelStream(id),
    decideModel(model(id), command, clock.now),
  ];
  const onVersion = (id: string, v: string, command: Parameters<typeof decideVersion>[1]): Part => [
    versionStream(id, v),
    decideVersion(version(id, v), command, clock.now),
  ];
  const onRun = (id: string, command: Parameters<typeof decideTraining>[1]): Part => [
    trainingStream(id),
    decideTraining(run(id), command, clock.now),
  ];
  const onRollout = (id: number, command: Parameters<typeof decideRollout>[1]): Part => [
    rolloutStream(id),
    decideRollout(rollout(id), command, clock.now),
  ];

  function append(parts: readonly Part[]): boolean {
    if (parts.some(([, decision]) => decision.kind === 'refused')) return false;
    const facts = parts.flatMap(([stream, decision]) =>
      decision.kind === 'facts' ? decision.facts.map((fact) => ({ stream, fact })) : [],
    );
    if (facts.length === 0) return false;
    for (const { stream, fact } of facts) {
      const before = state(stream);
      const event = { type: fact.type, data: fact.data, at: clock.now, eventId: '', version: before.version + 1 };
      states.set(stream, machineFor(stream).step(before, event));
    }
    appends.push({ commandId: `command-${appends.length}`, facts });
    return true;
  }

  return { appends, runs, rollouts, clock, model, version, run, rollout, onModel, onVersion, onRun, onRollout, append };
}
