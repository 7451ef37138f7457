/** What the compiler refuses of places. Each `@ts-expect-error` fails the type check where its line would compile. */
import { expect, it } from 'vitest';
import type { View } from '../../api/reading.ts';
import { asLogIndex, asStreamVersion, type LogIndex } from '../../domain/brands.ts';
import type { SequencedEvent } from '../../domain/events/envelope.ts';
import type { ReadModels } from '../../projections/readModels.ts';
import type { OrgId } from '../../domain/org.ts';
import type { EventStore } from './eventStore.ts';

declare const log: EventStore;
declare const reads: ReadModels;
declare const view: View;
declare const orgId: OrgId;
declare const event: SequencedEvent;

/** Never called: only its types matter. */
export function impossible() {
  void log.readStream('rollout-1', event.logIndex);
  // @ts-expect-error a stream version is no place in the log
  void log.readStream('rollout-1', event.version);
  // @ts-expect-error nor is a number that nobody has checked
  void log.load(['rollout-1'], undefined, { upTo: 7 });
  // @ts-expect-error a place in the log is no stream version
  void log.readPart('rollout-1', { after: event.logIndex });
  // @ts-expect-error as_of is a place in the log
  void reads.judgements(orgId, 1, event.version);
  // @ts-expect-error also of a list
  void reads.rollouts({ orgId }, { asOf: event.version });
  // @ts-expect-error only a parser makes one
  const next: LogIndex = view.position + 1;
  const plain: number = view.position; // where any number may stand, it may
  return [next, plain];
}

it.each([-2, 0.5, Number.NaN, 2 ** 53])('no parser takes %d', (n) => {
  expect(() => asLogIndex(n)).toThrow(RangeError);
  expect(() => asStreamVersion(n)).toThrow(RangeError);
});

it('before the first', () => {
  expect([asLogIndex(-1), asStreamVersion(0)]).toEqual([-1, 0]);
  expect(() => asStreamVersion(-1)).toThrow('-1 is no stream version: expected an integer from 0');
});
