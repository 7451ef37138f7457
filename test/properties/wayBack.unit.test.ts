/** Over random histories: what a rollout's end puts in force was not taken away before. Read from the facts alone. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { SequencedEvent } from '../../domain/events/envelope.ts';
import { parseStream } from '../../domain/events/streams.ts';
import { assign } from '../../domain/rollout/pointer.ts';
import { createFold } from '../../domain/rollout/pointer.fixture.ts';
import { historyOf, sequence } from './history.ts';

const drawn = (seed: number) =>
  fc.sample(fc.array(fc.nat(100_000), { minLength: 2_000, maxLength: 2_000, size: 'max' }), { seed, numRuns: 1 })[0]!;
let restored = 0;

/** Versions that were put in force although somebody had aborted or rolled them back since they last became stable. */
function comeBack(events: readonly SequencedEvent[]): string[] {
  const ofRollout = new Map<string, string>();
  const started = new Set<string>();
  const takenAway = new Set<string>();
  const stable = new Map<string, string | null>();
  const wrong: string[] = [];
  for (const { stream, fact, logIndex } of events) {
    const of = parseStream(stream);
    if (fact.type === 'RolloutCreated') ofRollout.set(stream, `${fact.data.model_id}@${fact.data.version}`);
    if (fact.type === 'RolloutStarted') started.add(stream);
    // One that never started was told to nobody.
    const isEnd = fact.type === 'RolloutAborted' || fact.type === 'RolloutRolledBack';
    if (isEnd && started.has(stream)) takenAway.add(ofRollout.get(stream)!);
    if (of?.kind !== 'model') continue;
    if (fact.type === 'StableVersionChanged') takenAway.delete(`${of.modelId}@${fact.data.version}`);
    if (fact.type === 'StableVersionRestored') {
      const version = fact.data.version;
      const isNew = version !== null && version !== stable.get(of.modelId);
      if (isNew && takenAway.has(`${of.modelId}@${version}`)) wrong.push(`${version} at ${logIndex}`);
    }
    if (fact.type === 'StableVersionChanged' || fact.type === 'StableVersionRestored') {
      stable.set(of.modelId, fact.data.version);
    }
  }
  return wrong;
}

const DEVICES = Array.from({ length: 12 }, (_, i) => ({ id: `d-${i}`, platform: i % 3 === 0 ? 'ios' : null }));
let told = 0;

/** Versions that some device is told at the end of an append although they were taken away, other than by a rollout of their own. */
function toldThoughTakenAway(events: readonly SequencedEvent[]): string[] {
  const modelOf = new Map<string, string>();
  const versionOf = new Map<string, string>();
  const folds = new Map<string, ReturnType<typeof createFold>>();
  const started = new Set<string>();
  const takenAway = new Map<string, 'aborted' | 'rolled back'>();
  const wrong: string[] = [];
  events.forEach((event, i) => {
    const { stream, fact } = event;
    const of = parseStream(stream)!;
    if (fact.type === 'RolloutCreated') {
      modelOf.set(stream, fact.data.model_id);
      versionOf.set(stream, `${fact.data.model_id}@${fact.data.version}`);
    }
    if (fact.type === 'RolloutStarted') started.add(stream);
    const version = versionOf.get(stream)!;
    if (fact.type === 'RolloutAborted' && started.has(stream)) takenAway.set(version, 'aborted');
    if (fact.type === 'RolloutRolledBack') takenAway.set(version, 'rolled back');
    if (fact.type === 'RolloutCompleted') takenAway.delete(version);
    const modelId = of.kind === 'rollout' ? modelOf.get(stream) : of.kind === 'training' ? undefined : of.modelId;
    if (modelId === undefined) return;
    const fold = folds.get(modelId) ?? createFold();
    folds.set(modelId, fold);
    const pointer = fold(event);
    if (!pointer) return;
    // An abort of another rollout of the version that is stable leaves it in force: nobody took it away.
    const stable = `${modelId}@${pointer.stable}`;
    if (fact.type === 'RolloutAborted' && stable === version && events[i + 1]?.commandId === event.commandId) {
      const isRestored = events.some((e) => e.commandId === event.commandId && e.fact.type === 'StableVersionRestored');
      if (!isRestored) takenAway.delete(stable);
    }
    if (events[i + 1]?.commandId === event.commandId) return;
    for (const device of DEVICES) {
      const assigned = assign(pointer, device, new Date(event.recordedAt));
      if (!assigned) continue;
      told += 1;
      const how = takenAway.get(`${modelId}@${assigned.version}`);
      if (how === undefined || (how === 'aborted' && assigned.source === 'rollout')) continue;
      wrong.push(`${device.id} is told ${assigned.version}, which was ${how}, at ${event.logIndex}`);
    }
  });
  return wrong;
}

describe('what devices are told', () => {
  it.each(Array.from({ length: 10 }, (_, i) => i + 101))('was not taken away: history %i', (seed) => {
    expect(toldThoughTakenAway(sequence(historyOf(drawn(seed))))).toEqual([]);
  });

  it('is often enough something', () => expect(told).toBeGreaterThan(300));
});

describe('what a rollout’s end puts in force', () => {
  it.each(Array.from({ length: 30 }, (_, i) => i + 1))(
    'was neither aborted nor rolled back since it last became stable: history %i',
    (seed) => {
      const events = sequence(historyOf(drawn(seed)));
      expect(comeBack(events)).toEqual([]);
      restored += events.filter((e) => e.fact.type === 'StableVersionRestored').length;
    },
  );

  it('is often enough something: the histories reach what is asserted', () => {
    expect(restored).toBeGreaterThan(20);
  });
});
