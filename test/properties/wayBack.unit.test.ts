/** Over random histories: what a rollout's end puts in force was not taken away before. Read from the facts alone. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { SequencedEvent } from '../../domain/events/envelope.ts';
import { parseStream } from '../../domain/events/streams.ts';
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
