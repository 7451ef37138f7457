/** Which facts start, signal and end a process. */
import { asLogIndex, asStreamVersion } from '../domain/brands.ts';
import { describe, expect, it } from 'vitest';
import type { Actor, SequencedEvent } from '../domain/events/envelope.ts';
import type { AnyFact } from '../domain/events/streams.ts';
import { newsOf } from './processBatch.ts';

const KEY: Actor = { kind: 'key', id: 'key_1' };
let index = 0;
function event(
  stream: string,
  version: number,
  type: AnyFact['type'],
  actor: Actor = KEY,
  data: object = {},
): SequencedEvent {
  index += 1;
  return {
    id: `event-${index}`,
    stream,
    version: asStreamVersion(version),
    // Only type and data's `n` are looked at.
    fact: { type, data } as AnyFact,
    schemaVersion: 1,
    machine: 'rollout@1',
    actor,
    commandId: `c${index}`,
    commandSeq: 1,
    correlationId: null,
    causationId: null,
    recordedAt: '2026-01-01T00:00:00.000Z',
    logIndex: asLogIndex(index),
    sequencedAt: '2026-01-01T00:00:00.000Z',
  };
}
const brief = (events: SequencedEvent[]) =>
  newsOf(events).map(({ change: c, signal }) => ({
    id: c.id,
    opened: c.opened,
    closed: c.closed,
    signal: signal?.type,
    due: c.due,
  }));

describe('what a batch means to processes', () => {
  it('starts a rollout once, and signals it once for all that follows', () => {
    const events = [
      event('rollout-1', 1, 'RolloutCreated'),
      event('rollout-1', 2, 'RolloutStarted'),
      event('rollout-1', 3, 'StageEntered'),
      event('rollout-1', 4, 'RolloutPaused'),
    ];
    expect(brief(events)).toEqual([{ id: 'rollout:1', opened: true, closed: false, signal: 'RolloutPaused', due: 4 }]);
  });

  it('does not signal a workflow for what it wrote itself, but for what others wrote', () => {
    const self: Actor = { kind: 'workflow', id: 'rollout:1' };
    expect(brief([event('rollout-1', 5, 'StageEntered', self)])).toEqual([
      { id: 'rollout:1', opened: false, closed: false, signal: undefined, due: 0 },
    ]);
    const other: Actor = { kind: 'workflow', id: 'rollout:2' };
    expect(brief([event('rollout-1', 5, 'StageEntered', other)])[0]!.signal).toBe('StageEntered');
  });

  it('a rollback ends one process and starts another', () => {
    expect(brief([event('rollout-1', 6, 'RolloutRolledBack')])).toEqual([
      { id: 'rollout:1', opened: false, closed: true, signal: 'RolloutRolledBack', due: 6 },
      { id: 'rollback:1', opened: true, closed: false, signal: undefined, due: 0 },
    ]);
  });

  it('numbers publications, and passes over facts of no process', () => {
    const stream = 'version-m@1.0.0';
    const events = [
      event(stream, 3, 'PublishRequested', KEY, { n: 2 }),
      event('model-m', 3, 'VersionListed'),
      event(stream, 4, 'VersionPublished', KEY, { n: 2 }),
    ];
    expect(brief(events)).toEqual([{ id: 'publish:m@1.0.0:2', opened: true, closed: true, signal: undefined, due: 0 }]);
  });
});
